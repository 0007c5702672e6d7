"""Links that become bad: one that drops to a tenth of its rate, and some that lose packets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.desks import FOLDER, Desk, desk_of, num_layers, served
from support.networks import DESK
from support.sites import Sites, sites
from support.ssh_hosts import ssh_hosts

SPEC = """\
version: 1
name: two-ways
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 24, max: 64}}, output_tokens: {{mean: 16, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: paris, address: {addresses[0]}, devices: core, nic: 100Mbps}}
  - {{name: bob, site: oslo, address: {addresses[1]}, devices: core, nic: 100Mbps}}
  - {{name: cyd, site: rome, address: {addresses[2]}, devices: core, nic: 100Mbps}}
coordinator: {{site: paris, nic: 100Mbps}}
links:
  - {{within: paris, bandwidth: 100Mbps, latency: 0.1ms}}
  - {{between: [paris, oslo], bandwidth: 5Mbps, latency: 5ms}}
  - {{between: [paris, rome], bandwidth: 5Mbps, latency: 5ms}}
pin:
  - {{host: ada, layers: [0, 3]}}
  - {{host: bob, layers: [3, {layers}]}}
  - {{host: cyd, layers: [3, {layers}]}}
"""
FULL, TENTH = 5.0, 0.5
CLIENTS = 24
GET = "import sys, httpx; print(httpx.get(sys.argv[1], trust_env=False).text)"
LOAD = Path(__file__).parents[2] / "support" / "steady_load.py"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("ways")
    with ssh_hosts(3, folder, sites) as hosts:
        spec = SPEC.format(folder=FOLDER, addresses=hosts.addresses, layers=num_layers())
        made = desk_of(hosts, folder, spec)
        plan = json.loads(made.plan.read_text())
        assert sorted(route["weight"] for route in plan["routes"]) == [0.5, 0.5]
        yield made


def join(desk: Desk, mbit_per_s: float, loss: float = 0.0) -> None:
    """Set the rate from ada to cyd, and what both links lose; the rate to bob is the full one."""
    network = desk.hosts.network
    assert isinstance(network, Sites)
    ada, bob, cyd = desk.hosts.addresses
    for first in (ada, DESK):
        network.join(first, bob, 0.005, FULL, loss)
        network.join(first, cyd, 0.005, mbit_per_s, loss)


def load(desk: Desk, url: str, seconds: float) -> tuple[float, list[list[str]]]:
    """Return the tokens per second of a steady load, and the texts of each client."""
    found = json.loads(desk.run(sys.executable, LOAD, url, str(CLIENTS), str(seconds)))
    return found["tokens_per_s"], found["texts"]


def weights(desk: Desk, url: str) -> dict[str, float]:
    """Return what /plan says of the weights now, by the last host of each route."""
    plan = json.loads(desk.run(sys.executable, "-c", GET, f"{url}/plan"))
    hosts = {stage["id"]: stage["host"] for stage in plan["stages"]}
    metrics = desk.run(sys.executable, "-c", GET, f"{url}/metrics")
    for number, route in enumerate(plan["routes"]):
        told = f'hexplan_route_weight_now{{route="{number}"}} {route["weight_now"]}'
        assert told in metrics
    return {hosts[route["hops"][-1]["stage"]]: route["weight_now"] for route in plan["routes"]}


def slowed(desk: Desk, *options: str) -> tuple[float, dict[str, float], list[list[str]]]:
    """Return tokens per second and weights with the slow link, and the texts of all the time."""
    join(desk, FULL)
    with served(desk, *options) as url:
        _, before = load(desk, url, 15)
        assert weights(desk, url) == {"bob": 0.5, "cyd": 0.5}
        join(desk, TENTH)
        _, meanwhile = load(desk, url, 20)
        rate, after = load(desk, url, 20)
        texts = [sorted({*a, *b, *c}) for a, b, c in zip(before, meanwhile, after, strict=True)]
        return rate, weights(desk, url), texts


@pytest.mark.slow
def test_a_route_over_a_slow_link_gets_fewer_requests_unless_told_not_to(desk: Desk) -> None:
    """More tokens come in all; by how many depends on what else the machine does."""
    rate, weights_now, texts = slowed(desk)
    plain, plain_weights, plain_texts = slowed(desk, "--no-reweigh")
    assert all(len(each) == 1 for each in texts)
    assert texts == plain_texts
    assert plain_weights == {"bob": 0.5, "cyd": 0.5}
    assert 0.25 <= weights_now["cyd"] < 0.4
    assert weights_now["bob"] == pytest.approx(1 - weights_now["cyd"])
    print(f"{rate:.0f} tokens/s with re-weighting, {plain:.0f} without")


@pytest.mark.slow
def test_lost_packets_change_no_token_and_nothing_hangs(desk: Desk) -> None:
    join(desk, FULL)
    with served(desk) as url:
        rates, found = zip(
            *(lossy_load(desk, url, loss) for loss in (0.0, 0.01, 0.05)), strict=True
        )
        lost = desk.run(sys.executable, "-c", GET, f"{url}/metrics")
        losses = [line for line in lost.splitlines() if line.startswith("hexplan_stage_losses")]
        assert len(losses) == 3
        assert all(line.endswith(" 0.0") for line in losses)
    assert all(len(texts) == 1 for texts in found[0])
    assert found[1] == found[2] == found[0]
    print(f"{rates} tokens/s")


def lossy_load(desk: Desk, url: str, loss: float) -> tuple[float, list[list[str]]]:
    """Return what comes of a load while both links lose a share of their packets."""
    join(desk, FULL, loss)
    return load(desk, url, 15)
