"""llama.cpp itself serves what was exported, over RPC servers of this machine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.exported import Link, addressed, chains_plan, exported, scripts_of
from support.plan_parts import SMALL
from support.tiny_gguf import write_tiny_gguf

from hexplan.plan import Plan

MOST_WAIT_S = 90
PROGRAMS = ("llama-server", "ggml-rpc-server")
ABSENT = [name for name in PROGRAMS if shutil.which(name) is None]
CPU = SMALL.model_copy(update={"kind": "cpu", "name": "Small"})
PORTS = (8000, 50052, 50053, 50054)


def cpu_plan() -> Plan:
    """Return a chain of two CPU slots on one host and one on another, of 1, 3 and 2 layers."""
    hosts = (addressed("a", [SMALL] * 2, "127.0.0.1"), addressed("b", [SMALL], "127.0.0.1"))
    links = (Link("a", (0,), (0, 1)), Link("a", (1,), (1, 4)), Link("b", (0,), (4, 6)))
    plan = chains_plan(hosts, links)
    cluster = plan.cluster.model_copy(update={"device_types": (CPU,)})
    return plan.model_copy(update={"cluster": cluster})


@pytest.mark.slow
@pytest.mark.skipif(bool(ABSENT), reason=f"llama.cpp is not installed: {', '.join(ABSENT)}")
def test_llamacpp_serves_with_the_layers_where_the_plan_puts_them(tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    write_tiny_gguf(model, 6)
    scripts = scripts_of(exported(cpu_plan(), "llamacpp", model=str(model)))
    free = {str(port): str(free_port()) for port in PORTS}
    with ExitStack() as stack:
        for name, text in scripts.items():
            moved = re.sub(r"\b(8000|5005[2-4])\b", lambda found: free[found[0]], text)
            verbose = " \\\n  --verbose\n" if "main" in name else "\n"
            path = tmp_path / name
            path.write_text(moved.rstrip() + verbose)
            stack.enter_context(running(path, tmp_path / f"{name}.log"))
        answer = completion(int(free["8000"]), tmp_path)
    log = next(tmp_path.glob("*main*.log")).read_text(errors="replace")
    found = re.findall(r"layer +(\d+) assigned to device RPC(\d+)", log)
    where = {int(layer): int(device) for layer, device in found}
    assert where == {0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}  # 6 is the output
    assert answer["usage"]["completion_tokens"] == 8


@contextmanager
def running(script: Path, log: Path) -> Iterator[None]:
    """Run a script, and end it."""
    with log.open("wb") as out:
        process = subprocess.Popen(["bash", script], stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(MOST_WAIT_S)


def completion(port: int, folder: Path) -> dict[str, dict[str, int]]:
    """Return the answer to a request of 8 tokens, once the server is up."""
    body = {"prompt": "abc", "max_tokens": 8, "temperature": 0, "ignore_eos": True}
    url = f"http://127.0.0.1:{port}/v1/completions"
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + MOST_WAIT_S
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(request, timeout=MOST_WAIT_S) as answer:
            found: dict[str, dict[str, int]] = json.load(answer)
            return found
        time.sleep(0.5)
    logs = {path.name: path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log")}
    raise TimeoutError(f"no answer: {logs}")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
