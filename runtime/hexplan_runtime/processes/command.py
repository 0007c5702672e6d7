"""The command that starts a child process: on this machine, or on another host over ssh.

What a child must know comes on its stdin. Nothing secret stands in a command or in a variable,
where other users of a machine could read it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from hexplan.errors import InputError

SSH: Final = (
    "ssh",
    "-T",
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "ForwardAgent=no"),
    "--",
)
"""The default ssh command: it never asks for a password, forwards no keys, and notices within 15 s
that a host is gone."""

_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
"""A rank stands for one device, so it must not take the cores of the others."""
_TUNABLES: Final = "GLIBC_TUNABLES"
_HUGE_PAGES: Final = "glibc.malloc.hugetlb"
"""Whether memory is asked for in huge pages. Steps of few tokens wait for weights from memory: with
huge pages, decoding took 12 to 27 % less on Zen 4 (decision 19)."""
_ADDRESS: Final = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:-]*")
_PROGRAM: Final = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~+-]*")


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the environment that it runs in."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


class Starter(Protocol):
    """A place where child processes can be started."""

    def command(self, module: str) -> Command:
        """Return the command that runs a Python module there."""


@dataclass(frozen=True, slots=True)
class Here:
    """Starts modules on this machine, with the Python that runs this one."""

    variables: Collection[str] | None = None
    """The environment variables that children inherit; all of them if None."""

    def command(self, module: str) -> Command:
        """Return the command that runs a module; `-P` keeps the working folder off its path."""
        names = os.environ.keys() if self.variables is None else self.variables
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        return Command((sys.executable, *_module(module)), inherited | _ONE_THREAD | huge_pages())


def huge_pages() -> dict[str, str]:
    """Return the variable that asks glibc for huge pages, beside what the user asks of it."""
    asked = os.environ.get(_TUNABLES, "")
    if _HUGE_PAGES in asked:
        return {_TUNABLES: asked}
    return {_TUNABLES: f"{asked}:{_HUGE_PAGES}=1" if asked else f"{_HUGE_PAGES}=1"}


@dataclass(frozen=True, slots=True)
class OverSsh:
    """Starts modules on another host.

    Raises
    ------
    InputError
        The address could be read as an option of ssh, or the program as a word of the shell.
    """

    address: str
    python: str = "python3"
    """The Python on that host which has hexplan."""
    ssh: tuple[str, ...] = SSH
    """A program and its arguments; an address, and a command for the shell there, follow."""

    def __post_init__(self) -> None:
        if not is_address(self.address):
            message = f"found the address {self.address!r}, needed an IP or DNS name"
            raise InputError(message)
        if not is_program(self.python):
            message = f"found the program {self.python!r}, needed a path without spaces"
            raise InputError(message)

    def command(self, module: str) -> Command:
        """Return the command that runs a module there; ssh itself inherits the environment."""
        argv = (*self.ssh, self.address, self.python, *_module(module))
        return Command(argv, os.environ | _ONE_THREAD)


def is_address(text: str) -> bool:
    """Say whether ssh takes this for nothing but an address."""
    return _ADDRESS.fullmatch(text) is not None


def is_program(text: str) -> bool:
    """Say whether a shell takes this for nothing but the path of a program."""
    return _PROGRAM.fullmatch(text) is not None


def _module(module: str) -> tuple[str, ...]:
    return "-P", "-m", module
