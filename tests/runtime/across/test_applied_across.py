"""Two sites, from doctor to stop: a host is lost and healed, and another plan is applied."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support.desks import FOLDER, Desk, desk_of, served
from support.networks import DESK
from support.processes import wait_until
from support.sites import Sites, sites
from support.ssh_hosts import SshHosts, ssh_hosts

SPEC = """\
version: 1
name: two-sites
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 16MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: left, address: {addresses[0]}, devices: core, nic: 100Mbps}}
  - {{name: bob, site: left, address: {addresses[1]}, devices: core, nic: 100Mbps}}
  - {{name: cyd, site: right, address: {addresses[2]}, devices: core, nic: 100Mbps}}
coordinator: {{site: left, nic: 100Mbps}}
links:
  - {{within: left, bandwidth: 100Mbps, latency: 0.1ms}}
  - {{between: [left, right], bandwidth: 50Mbps, latency: 10ms}}
"""
LAB = """\
version: 1
name: lab
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: lab, address: {addresses[0]}, devices: core, nic: 1Gbps}}
  - {{name: bob, site: lab, address: {addresses[1]}, devices: core, nic: 1Gbps}}
  - {{name: cyd, site: lab, address: {addresses[2]}, devices: core, nic: 1Gbps}}
coordinator: {{site: lab, nic: 1Gbps}}
links: [{{within: lab, bandwidth: 1Gbps, latency: 0.1ms}}]
trusted: [lab]
pin: [{{host: ada, layers: [0, 3]}}, {{host: bob, layers: [3, 6]}}, {{host: cyd, layers: {third}}}]
"""
"""Two stages that go on, and a third one that holds other layers in each plan."""
DELAY_S = 0.01
HEAL_S = 400.0
ASK = """\
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=600)
chunks = client.completions.create(
    model="austen-3m", prompt=sys.argv[2], max_tokens=150, temperature=0, stream=True
)
for chunk in chunks:
    if chunk.choices:
        print(chunk.choices[0].text, end="", flush=True)
"""
PROMPTS = ("It is a truth", "She was", "The ball at", "Emma was")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ssh_hosts(3, tmp_path, sites) as hosts:
        assert isinstance(hosts.network, Sites)
        place_sites(hosts.network, hosts)
        spec = SPEC.format(folder=FOLDER, addresses=hosts.addresses)
        yield desk_of(hosts, tmp_path, spec)


def place_sites(network: Sites, hosts: SshHosts) -> None:
    """Put the third host far from the others and from the desk."""
    ada, bob, cyd = hosts.addresses
    for near in (ada, bob, DESK):
        partial(network.join, mbit_per_s=50.0)(near, cyd, DELAY_S)


def asked_amid(desk: Desk, url: str, harm: Callable[[], None]) -> list[str]:
    """Return what clients get of streams that run while something happens."""
    files = [desk.home / f"text-{n}" for n in range(len(PROMPTS))]
    asking = []
    for prompt, file in zip(PROMPTS, files, strict=True):
        words = desk.words(sys.executable, "-c", ASK, f"{url}/v1", prompt)
        with file.open("w") as output:
            asking.append(subprocess.Popen(words, stdout=output))
    assert wait_until(lambda: all(file.stat().st_size for file in files), HEAL_S)
    harm()
    assert [client.wait(HEAL_S) for client in asking] == [0] * len(asking)
    return [file.read_text() for file in files]


def plan_without_bob(desk: Desk, folder: Path) -> Path:
    """Return another plan for the two hosts that are left."""
    spec, plan = folder / "other.yaml", folder / "other.json"
    pins = "pin: [{exclude: bob}, {host: ada, layers: [0, 4]}, {host: cyd, layers: [4, 6]}]\n"
    spec.write_text((folder / "cluster.yaml").read_text() + pins)
    desk.hexplan("solve", spec, "-o", plan)
    return plan


@pytest.mark.slow
def test_from_doctor_to_stop_with_a_host_that_is_lost_and_a_plan_that_is_applied(
    desk: Desk, tmp_path: Path
) -> None:
    network, (ada, bob, cyd) = desk.hosts.network, desk.hosts.addresses
    assert isinstance(network, Sites)
    desk.hexplan("doctor", desk.plan, *desk.reach, "--timeout", "60s")
    other = plan_without_bob(desk, tmp_path)

    def cut_off() -> None:
        for near in (ada, cyd, DESK):
            network.join(near, bob, DELAY_S, loss=1.0)
        assert wait_until(lambda: "healed: a plan without stage" in log.read_text(), HEAL_S)

    log = desk.home / "serve.log"
    pushes = ("--push-weights", "--hosts-model-folder", "~/austen")
    with served(desk, *pushes, "--heal", "--restarts", "1") as url:
        expected = asked_amid(desk, url, lambda: None)
        os.kill(desk.hosts.ranks(0)[0], signal.SIGKILL)
        assert wait_until(lambda: "is back" in log.read_text(), HEAL_S)
        assert asked_amid(desk, url, cut_off) == expected
        desk.hexplan("apply", desk.plan, exit_code=2)
        dry = json.loads(desk.hexplan("apply", other, "--dry-run", "--json"))
        assert dry["starts"]
        assert asked_amid(desk, url, lambda: print(desk.hexplan("apply", other))) == expected
        status = json.loads(desk.hexplan("status", "--json"))
        assert {stage["host"] for stage in status["stages"]} == {"ada", "cyd"}
        assert asked_amid(desk, url, lambda: None) == expected
    assert wait_until(lambda: not any(map(desk.hosts.processes, range(3))))


@pytest.mark.slow
def test_stages_that_go_on_open_and_close_edges_to_those_that_come_and_go(tmp_path: Path) -> None:
    """Also where edges between the first ones are plain."""
    with ssh_hosts(3, tmp_path) as hosts:
        thirds = ([0, 6], [3, 6], [0, 3])
        specs = [LAB.format(folder=FOLDER, addresses=hosts.addresses, third=n) for n in thirds]
        desk = desk_of(hosts, tmp_path, specs[0])
        plans = [desk.plan]
        for number, text in enumerate(specs[1:]):
            spec, plan = tmp_path / f"{number}.yaml", tmp_path / f"{number}.json"
            spec.write_text(text)
            desk.hexplan("solve", spec, "-o", plan)
            plans.append(plan)
        with served(desk) as url:
            expected = asked_amid(desk, url, lambda: None)
            for plan in (*plans[1:], plans[0]):
                changes = json.loads(desk.hexplan("apply", plan, "--dry-run", "--json"))
                assert len(changes["kept"]) == 2, changes
                assert [stage["host"] for stage in changes["starts"]] == ["cyd"]
                assert asked_amid(desk, url, applied(desk, plan)) == expected
                status = json.loads(desk.hexplan("status", plan, "--json"))
                assert not status["obstacles"]
                assert all(route["requests"] for route in status["routes"])
                for index in range(3):
                    assert len(hosts.ranks(index)) == 1
        assert wait_until(lambda: not any(map(hosts.processes, range(3))))


def applied(desk: Desk, plan: Path) -> Callable[[], None]:
    """Return what applies a plan."""
    return lambda: print(desk.hexplan("apply", plan))
