"""`hexplan serve` as a process of its own, of a plan made here, and what the kernel says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from hexplan.plan import Plan
from hexplan.plan_file import write_plan
from hexplan.reading import parse_spec
from hexplan_solver import SolveOptions, solve

ROOT: Final = Path(__file__).parents[1]
AUSTEN: Final = ROOT / "models" / "austen-3m"
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
START_S: Final = 180.0
SPEC: Final = """
version: 1
name: two-stages
model: {{path: {path}, dtype: float32}}
objective: throughput
workload:
  prompt_tokens: {{mean: 16, max: 256}}
  output_tokens: {{mean: 32, max: 128}}
devices:
  core: {{kind: cpu, memory: {memory}, memory_bandwidth: 10GB/s, compute: 50 GFLOP/s}}
hosts:
  - {{name: left, site: desk, devices: core, nic: 1GB/s}}
  - {{name: right, site: desk, devices: core, nic: 1GB/s}}
coordinator: {{site: desk, nic: 1GB/s}}
links:
  - {{within: desk, bandwidth: 1GB/s, latency: 100us}}
pin:
  - {{host: left, layers: [0, {half}]}}
  - {{host: right, layers: [{half}, {layers}]}}
"""


def two_stages(folder: Path = AUSTEN, memory: str = "2GiB") -> Plan:
    """Return a plan of two stages of one device each, with half of a model's layers each."""
    layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    text = SPEC.format(path=folder.resolve(), memory=memory, half=layers // 2, layers=layers)
    return solve(parse_spec(text, folder), SolveOptions(time_limit_s=10.0))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used."""

    cpu_s: float
    rss_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that answers."""

    url: str
    pid: int
    """The router's: HTTP and the engine's thread."""
    rank_pids: tuple[int, ...]

    def get(self, path: str) -> Any:
        """Return what a path tells, as data if it is JSON."""
        answer = httpx.get(self.url + path, timeout=60)
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def wait_until_idle(self) -> None:
        """Wait until no request holds room."""
        while (seen := self.get("/plan"))["running"] or seen["waiting"]:
            time.sleep(0.05)


@contextmanager
def serving(plan: Plan, folder: Path, *options: str) -> Iterator[ServerProcess]:
    """Serve a plan at a free port of loopback, with a folder for files of its own."""
    path = folder / "plan.json"
    write_plan(plan, path)
    command = [sys.executable, "-m", "hexplan", "serve", str(path), "--port", "0", "--yes"]
    log = (folder / "serve.log").open("w")
    process = subprocess.Popen(  # noqa: S603
        [*command, *options], stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            sys.exit((folder / "serve.log").read_text())
        server = ServerProcess(url, process.pid, tuple(_children(process.pid)))
        _wait_until_ready(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()


def usage(pid: int) -> Usage:
    """Return what a process has used so far."""
    proc = Path("/proc") / str(pid)
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
        rss_bytes=int((proc / "statm").read_text().split()[1]) * PAGE_BYTES,
        descriptors=len(list((proc / "fd").iterdir())),
        threads=int(fields[17]),
    )


def _children(pid: int) -> Iterator[int]:
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _wait_until_ready(server: ServerProcess) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        try:
            if server.get("/readyz")["ready"]:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    sys.exit("the server was not ready in time")
