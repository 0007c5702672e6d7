"""A launch across hosts as its user runs it: a process at the desk, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from support.ssh_hosts import SshHosts

from hexplan.plan import Plan

PATIENCE_S = 420.0
"""A busy machine may take long to read libraries and weights."""


class Coordinator:
    """The process, and the lines that it tells."""

    def __init__(self, hosts: SshHosts, plan: Plan, folder: Path, *, heals: bool = False) -> None:
        file = hosts.folder / f"plan-{len(list(hosts.folder.iterdir()))}.json"
        file.write_text(plan.model_dump_json(by_alias=True))
        program = str(Path(__file__).with_name("coordinator.py"))
        words = (sys.executable, program, "$" * heals + str(file), str(folder))
        with (hosts.folder / "coordinator.log").open("a") as log:
            self.process = subprocess.Popen(
                hosts.network.at_desk(*words, sys.executable, *hosts.ssh),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._lines: SimpleQueue[str] = SimpleQueue()
        Thread(target=self._listen, daemon=True).start()

    def tell(self, line: str) -> None:
        """Say what to do next."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for the next thing that it tells."""
        found: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE_S))
        return found

    def generate(self, num_tokens: int, prompt: Sequence[int] = (1, 2, 3)) -> list[int]:
        """Return so many tokens that follow a prompt."""
        self.tell(" ".join(map(str, (num_tokens, *prompt))))
        found: list[int] = self.hear()["tokens"]
        return found

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)


@dataclass(frozen=True, slots=True)
class Running:
    """A launch that is up."""

    hosts: SshHosts
    plan: Plan
    coordinator: Coordinator


@contextmanager
def launched(
    hosts: SshHosts, plan: Plan, folder: Path, *, heals: bool = False
) -> Iterator[Coordinator]:
    """Give a launch that is up, and end it."""
    coordinator = Coordinator(hosts, plan, folder, heals=heals)
    try:
        up = coordinator.hear()
        assert up["event"] == "up", up
        yield coordinator
        if coordinator.process.poll() is None:
            coordinator.tell("stop")
            coordinator.process.wait(60)
    finally:
        coordinator.process.kill()
        coordinator.process.wait()
        assert coordinator.process.stdin is not None
        coordinator.process.stdin.close()
