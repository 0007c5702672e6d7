"""Three sites, 20 to 40 ms from each other, as a user has them: plan, look, serve, ask, stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest
from support.desks import FOLDER, Desk, desk_of, num_layers, served
from support.networks import DESK
from support.processes import wait_until
from support.sites import Sites, sites
from support.ssh_hosts import SshHosts, ssh_hosts

SPEC = """\
version: 1
name: three-sites
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: paris, address: {addresses[0]}, devices: core, nic: 100Mbps}}
  - {{name: bob, site: oslo, address: {addresses[1]}, devices: core, nic: 100Mbps}}
  - {{name: cyd, site: rome, address: {addresses[2]}, devices: core, nic: 100Mbps}}
coordinator: {{site: paris, nic: 100Mbps}}
links:
  - {{within: paris, bandwidth: 100Mbps, latency: 0.1ms}}
  - {{between: [paris, oslo], bandwidth: 50Mbps, latency: 20ms}}
  - {{between: [oslo, rome], bandwidth: 50Mbps, latency: 30ms}}
  - {{between: [paris, rome], bandwidth: 50Mbps, latency: 40ms}}
pin:
  - {{host: ada, layers: [0, 2]}}
  - {{host: bob, layers: [2, 4]}}
  - {{host: cyd, layers: [4, {layers}]}}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("sites")
    with ssh_hosts(3, folder, sites) as hosts:
        assert isinstance(hosts.network, Sites)
        place_sites(hosts.network, hosts)
        spec = SPEC.format(folder=FOLDER, addresses=hosts.addresses, layers=num_layers())
        yield desk_of(hosts, folder, spec)


def place_sites(network: Sites, hosts: SshHosts) -> None:
    """Put the hosts, and the desk beside the first one, where the spec says."""
    ada, bob, cyd = hosts.addresses
    join = partial(network.join, mbit_per_s=50.0)
    for desk in (ada, DESK):
        join(desk, bob, 0.02)
        join(desk, cyd, 0.04)
    join(bob, cyd, 0.03)


@pytest.mark.slow
def test_a_doctor_measures_the_distances_of_the_plan(desk: Desk) -> None:
    found = json.loads(desk.hexplan("doctor", desk.plan, *desk.reach, "--timeout", "60s", "--json"))
    assert [edge["problem"] for edge in found["edges"]] == [None] * len(found["edges"])
    between = {(edge["from"], edge["to"]): edge["latency_s"] for edge in found["edges"]}
    assert between["s0", "s1"] >= 0.02
    assert between["s1", "s2"] >= 0.03
    assert between["s2", "s0"] >= 0.04


@pytest.mark.slow
def test_clients_get_the_text_of_one_machine_from_three_sites(desk: Desk) -> None:
    prompts = ("It is a truth", "She was", "The ball at")
    with served(desk) as url:
        texts = [desk.ask(url, prompt) for prompt in prompts]
        status = json.loads(desk.hexplan("status", "--json"))
        assert {stage["host"] for stage in status["stages"]} == {"ada", "bob", "cyd"}
    here = desk.here(*prompts)
    for text in texts:
        assert text
        assert text in here
    assert wait_until(lambda: not any(map(desk.hosts.processes, range(3))))


@pytest.mark.slow
def test_a_doctor_names_a_site_that_is_cut_off_from_another(desk: Desk) -> None:
    network = desk.hosts.network
    assert isinstance(network, Sites)
    _, bob, cyd = desk.hosts.addresses
    network.join(bob, cyd, 0.03, loss=1.0)
    try:
        words = (*desk.reach, "--timeout", "60s", "--json")
        found = json.loads(desk.hexplan("doctor", desk.plan, *words, exit_code=7))
    finally:
        place_sites(network, desk.hosts)
    problems = {(edge["from"], edge["to"]): edge["problem"] for edge in found["edges"]}
    assert "cannot reach" in problems["s1", "s2"]
    assert problems["s0", "s1"] is None
