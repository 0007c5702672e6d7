"""The router under chaos: `hexplan serve` at one port, however often it is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

START_S: Final = 600.0
_END_S: Final = 60.0
_LOOK_S: Final = 0.1
OPTIONS: Final = (
    *("--restarts", "100000", "--spares", "1", "--no-access-log", "--served-name", "chaos"),
    *("--drain-timeout", "20s"),
)


@dataclass(slots=True)
class Router:
    """A server that may be killed and started again."""

    plan: Path
    log: Path
    port: int
    more: Sequence[str] = ()
    """Options of `serve` that say how hosts are reached."""
    process: subprocess.Popen[bytes] | None = field(default=None)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it, and wait until every route is open."""
        words = (sys.executable, "-m", "hexplan", "serve", str(self.plan), "--yes")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [*words, "--port", str(self.port), *OPTIONS, *self.more],
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + START_S
        while not self.is_whole():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                sys.exit(f"the server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(_LOOK_S)

    def seen(self) -> Any:
        """Return what it says of its plan, or None if it does not answer."""
        try:
            return self.http.get(f"{self.url}/plan").json()
        except httpx.TransportError:
            return None

    def is_whole(self) -> bool:
        """Say whether requests may take every route."""
        seen = self.seen()
        return seen is not None and not any(route["is_masked"] for route in seen["routes"])

    def losses(self) -> int:
        """Return how often its stages were lost so far."""
        seen = self.seen()
        return 0 if seen is None else sum(stage["generation"] for stage in seen["stages"])

    def wait_until_idle(self) -> None:
        """Wait until no request holds room."""
        while (seen := self.seen()) is not None and (seen["running"] or seen["waiting"]):
            time.sleep(_LOOK_S)

    def kill(self) -> None:
        """End it by force."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as its user does."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
