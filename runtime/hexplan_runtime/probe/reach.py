"""How a host's agent is started: as a child process here, or over ssh."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from hexplan.errors import InputError
from hexplan_runtime.net.addresses import PUBLIC_HINT, is_public

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
"""What reaches a host, unless the user says otherwise; it asks nothing and gives nothing away."""
_MODULE: Final = ("-P", "-m", "hexplan_runtime.probe.agent")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:-]*")
_PROGRAM: Final = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~+-]*")


@dataclass(frozen=True, slots=True)
class Post:
    """A host, and where it is."""

    host: str
    address: str | None = None
    """Nothing means this machine."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What starts an agent on another host."""

    ssh: tuple[str, ...] = SSH
    """A program and its arguments; an address and a command for its shell follow."""
    python: str = "python3"
    """The Python there that has hexplan."""
    may_be_public: bool = False
    """Whether hosts may listen at public addresses."""

    def check(self, post: Post) -> None:
        """Refuse what must not stand in a command, and what must not be listened at.

        Raises
        ------
        InputError
            The address could be an option or a shell's word, or is a public one.
        """
        if not _PROGRAM.fullmatch(self.python):
            message = f"--python: found {self.python}, needed the path of a program"
            raise InputError(message, hint="letters, digits and `_./~+-` may stand in it")
        if post.address is None:
            return
        if not _ADDRESS.fullmatch(post.address):
            message = f"{post.host}: found the address {post.address!r}, needed an IP or DNS name"
            raise InputError(message)
        if not self.may_be_public and _is_public(post.address):
            message = f"{post.host}: found the public address {post.address}, needed a private one"
            raise InputError(message, hint=PUBLIC_HINT)

    def argv(self, post: Post) -> tuple[str, ...]:
        """Return the command that starts the agent of a checked post."""
        if post.address is None:
            return (sys.executable, *_MODULE)
        return (*self.ssh, post.address, self.python, *_MODULE)


def _is_public(address: str) -> bool:
    try:
        return is_public(ip_address(address))
    except ValueError:  # a name, which the host itself looks up
        return False
