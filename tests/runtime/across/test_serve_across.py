"""`hexplan serve` across hosts: real clients, and the commands that speak to the server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import wait_until
from support.ssh_hosts import SshHosts

PATIENCE_S = 240.0
FOLDER = Path(__file__).parents[3] / "models" / "austen-3m"
SPEC = """\
version: 1
name: desk-and-hosts
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: lab, address: {addresses[0]}, devices: core, nic: 1Gbps}}
  - {{name: bob, site: lab, address: {addresses[1]}, devices: core, nic: 1Gbps}}
coordinator: {{site: lab, nic: 1Gbps}}
links: [{{within: lab, bandwidth: 1Gbps, latency: 0.1ms}}]
pin: [{{host: ada, layers: [0, 2]}}, {{host: bob, layers: [2, {layers}]}}]
"""
ASK = """\
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
chunks = client.completions.create(
    model="austen-3m", prompt="It is a truth", max_tokens=24, temperature=0, stream=True
)
print("".join(chunk.choices[0].text for chunk in chunks if chunk.choices))
"""


@dataclass(frozen=True, slots=True)
class Desk:
    """The commands of a user at the desk."""

    hosts: SshHosts
    plan: Path
    home: Path

    def words(self, *words: str | Path) -> list[str]:
        """Return what runs a command there."""
        set_home = f"XDG_RUNTIME_DIR={self.home}"
        return self.hosts.network.at_desk("env", set_home, *map(str, words))

    def run(self, *words: str | Path) -> str:
        """Run a command that must succeed, and return what it prints."""
        done = subprocess.run(
            self.words(*words), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hexplan(self, *words: str | Path) -> str:
        """Run hexplan, and return what it prints."""
        return self.run(sys.executable, "-m", "hexplan", *words)


@pytest.fixture
def desk(hosts: SshHosts, tmp_path: Path) -> Desk:
    layers = json.loads((FOLDER / "config.json").read_text())["num_hidden_layers"]
    spec, plan = tmp_path / "cluster.yaml", tmp_path / "plan.json"
    spec.write_text(SPEC.format(folder=FOLDER, addresses=hosts.addresses, layers=layers))
    home = tmp_path / "run"
    home.mkdir(mode=0o700)
    found = Desk(hosts, plan, home)
    found.hexplan("solve", spec, "-o", plan)
    return found


@pytest.fixture
def url(desk: Desk) -> Iterator[str]:
    """Serve the plan, and return where."""
    hexplan = (sys.executable, "-m", "hexplan", "serve", desk.plan, "--yes", "--port", "0")
    ssh = ("--ssh", " ".join(desk.hosts.ssh), "--python", sys.executable)
    log = desk.home / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(desk.words(*hexplan, *ssh), stdout=output, stderr=output)
    try:
        assert wait_until(lambda: "http://" in log.read_text() or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        yield next(word for word in log.read_text().split() if word.startswith("http://"))
        assert server.wait(PATIENCE_S) == 0, log.read_text()
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_a_client_gets_the_text_of_one_machine_and_stop_leaves_nothing(
    desk: Desk, url: str
) -> None:
    at = url.rstrip(".,/")
    ready = "import sys, httpx; sys.exit(httpx.get(sys.argv[1]).status_code != 200)"
    ask = desk.words(sys.executable, "-c", ready, f"{at}/readyz")
    assert wait_until(lambda: subprocess.run(ask, check=False).returncode == 0)
    text = desk.run(sys.executable, "-c", ASK, f"{at}/v1").removesuffix("\n")
    launched = desk.hexplan(
        *("launch", desk.plan, "--here", "--yes", "--temperature", "0"),
        *("--max-tokens", "24", "--prompt", "It is a truth"),
    )
    assert text
    assert text in launched
    status = json.loads(desk.hexplan("status", "--json"))
    assert {stage["host"] for stage in status["stages"]} == {"ada", "bob"}
    assert "stage s0" in desk.hexplan("logs")
    desk.hexplan("stop")
    assert wait_until(lambda: not desk.hosts.processes(0) | desk.hosts.processes(1))
