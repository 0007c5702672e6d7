"""Hosts in sites far from each other: namespaces joined by a wire that delays, limits and loses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from support.networks import DESK, Network, remove_spaces, run

PARTED = 1.0
"""The loss between hosts that cannot reach each other."""


@dataclass(frozen=True, slots=True)
class Sites(Network):
    """A desk, and hosts at any distance from it and from each other."""

    wire: subprocess.Popen[str]

    def join(
        self, first: str, second: str, delay_s: float, mbit_per_s: float = 1000.0, loss: float = 0.0
    ) -> None:
        """Set what is between two addresses, both ways."""
        self._tell(f"{first} {second} {delay_s} {mbit_per_s * 125_000} {loss}")

    def shut(self, first: str, second: str) -> None:
        """Let an address open no connection to another, which still may open some to it."""
        self._tell(f"shut {first} {second}")

    def _tell(self, line: str) -> None:
        assert self.wire.stdin is not None
        assert self.wire.stdout is not None
        self.wire.stdin.write(f"{line}\n")
        self.wire.stdin.flush()
        assert self.wire.stdout.readline() == "done\n"


@contextmanager
def sites(num_hosts: int) -> Iterator[Sites]:
    """Give hosts on a wire for a while; a test that cannot have them is skipped."""
    if os.geteuid() != 0 or shutil.which("ip") is None or not Path("/dev/net/tun").exists():
        pytest.skip("a wire between hosts needs root, `ip` and /dev/net/tun")
    prefix = f"hexplan-{uuid4().hex[:8]}"
    plain = Network(prefix)
    spaces = {plain.address(index): plain.space(index) for index in range(num_hosts)}
    spaces |= {DESK: f"{prefix}-1"}
    words = [f"{address}={space}" for address, space in spaces.items()]
    try:
        try:
            for space in spaces.values():
                run("ip", "netns", "add", space)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel or container has no such networks: {error.stderr}")
        with subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("wire.py")), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as wire:
            assert wire.stdout is not None
            if wire.stdout.readline() != "ready\n":
                pytest.skip("this kernel or container has no TUN devices for namespaces")
            yield Sites(prefix, wire)
    finally:
        remove_spaces(spaces.values())
