"""`hexplan serve` across hosts: real clients, and the commands that speak to the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.desks import FOLDER, PROMPT, Desk, desk_of, num_layers, served
from support.processes import wait_until
from support.ssh_hosts import SshHosts

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


@pytest.fixture
def desk(hosts: SshHosts, tmp_path: Path) -> Desk:
    spec = SPEC.format(folder=FOLDER, addresses=hosts.addresses, layers=num_layers())
    return desk_of(hosts, tmp_path, spec)


@pytest.mark.slow
def test_a_client_gets_the_text_of_one_machine_and_stop_leaves_nothing(desk: Desk) -> None:
    pushes = ("--push-weights", "--hosts-model-folder", "~/austen")
    with served(desk, *pushes) as url:
        text = desk.ask(url)
        status = json.loads(desk.hexplan("status", "--json"))
        assert {stage["host"] for stage in status["stages"]} == {"ada", "bob"}
        assert "stage s0" in desk.hexplan("logs")
        watched = json.loads(desk.hexplan("top", "--once", "--json"))
        assert [route["requests"] for route in watched["routes"]] == [
            status["routes"][0]["requests"]
        ]
    for index in (0, 1):
        copy = desk.hosts.folder / f"home-{index}" / "austen" / "model.safetensors"
        assert copy.read_bytes() == (FOLDER / "model.safetensors").read_bytes()
    assert text
    assert text in desk.here(PROMPT)
    assert wait_until(lambda: not desk.hosts.processes(0) | desk.hosts.processes(1))
