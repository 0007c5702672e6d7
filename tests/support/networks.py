"""Hosts with networks of their own: namespaces of the kernel, joined by a bridge at a desk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

SUBNET = "10.77.0"
DESK = f"{SUBNET}.1"


@dataclass(frozen=True, slots=True)
class Network:
    """A desk, and hosts around it."""

    prefix: str

    def address(self, index: int) -> str:
        """Return the address of a host."""
        return f"{SUBNET}.{10 + index}"

    def at_desk(self, *words: str) -> list[str]:
        """Return what runs a command at the desk."""
        return ["ip", "netns", "exec", f"{self.prefix}-1", *words]

    def run_at_desk(self, *words: str) -> None:
        """Run a command at the desk that must succeed."""
        run(*self.at_desk(*words))

    def shape(self, index: int, rate: str) -> None:
        """Let a host send no faster than this."""
        limits = ("rate", rate, "burst", "64kb", "latency", "50ms")
        run("ip", "netns", "exec", self.space(index), "tc", "qdisc", "add", *EGRESS, *limits)

    def part(self, *indices: int) -> None:
        """Keep these hosts from each other, and from nobody else."""
        for index in indices:
            port = ("ip", "link", "set", "dev", f"to{index}", "type", "bridge_slave")
            run(*self.at_desk(*port, "isolated", "on"))

    def space(self, index: int) -> str:
        """Return the name of a host's namespace."""
        return f"{self.prefix}-{10 + index}"

    def ssh(self, folder: Path) -> Path:
        """Return a program that runs a command on the host of an address, as ssh does."""
        script = folder / "ssh"
        script.write_text(
            f'#!/bin/sh\nspace="{self.prefix}-${{1##*.}}"\nshift\n'
            'exec ip netns exec "$space" "$@"\n'
        )
        script.chmod(0o755)
        return script


EGRESS = ("dev", "eth", "root", "tbf")


@contextmanager
def network(num_hosts: int) -> Iterator[Network]:
    """Give a network for a while; a test that cannot have one is skipped."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc"))):
        pytest.skip("networks of their own need root, `ip` and `tc`")
    made = Network(f"hexplan-{uuid4().hex[:8]}")
    spaces = [f"{made.prefix}-1", *map(made.space, range(num_hosts))]
    try:
        try:
            _build(made, spaces)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel or container has no such networks: {error.stderr}")
        yield made
    finally:
        remove_spaces(spaces)


def remove_spaces(spaces: Iterable[str]) -> None:
    """Remove namespaces, as far as they are there."""
    for space in spaces:
        with suppress(subprocess.CalledProcessError):
            run("ip", "netns", "delete", space)


def _build(made: Network, spaces: list[str]) -> None:
    for space in spaces:
        run("ip", "netns", "add", space)
    run(*made.at_desk("ip", "link", "add", "bridge", "type", "bridge"))
    for index, space in enumerate(spaces[1:]):
        port = f"to{index}"
        peer = ("peer", "name", "eth", "netns", space)
        run(*made.at_desk("ip", "link", "add", port, "type", "veth", *peer))
        run(*made.at_desk("ip", "link", "set", port, "master", "bridge", "up"))
        _raise(space, "eth", made.address(index))
    _raise(spaces[0], "bridge", DESK)


def _raise(space: str, device: str, address: str) -> None:
    here = ("ip", "-netns", space)
    run(*here, "address", "add", f"{address}/24", "dev", device)
    for name in ("lo", device):
        run(*here, "link", "set", name, "up")


def run(*words: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(words, check=True, capture_output=True, text=True)
