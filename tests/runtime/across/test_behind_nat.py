"""A host that other hosts cannot call, as one behind NAT: it calls them, and all else is the same.

The wire drops what would open a connection to it, as a firewall that keeps states does. Its devices
are TUN devices with a subnet of their own, as those of WireGuard and Tailscale are.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
from support.desks import FOLDER, Desk, desk_of, num_layers, served
from support.processes import wait_until
from support.sites import Sites, sites
from support.ssh_hosts import ssh_hosts

SPEC = """\
version: 1
name: behind
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 24, max: 64}}, output_tokens: {{mean: 16, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
  - {{name: ada, site: cloud, address: {addresses[0]}, devices: core, nic: 100Mbps}}
  - {{name: bob, site: home, address: {addresses[1]}, devices: core, nic: 100Mbps}}
coordinator: {{site: home, nic: 100Mbps}}
links:
  - {{within: home, bandwidth: 100Mbps, latency: 0.1ms}}
  - {{between: [cloud, home], bandwidth: 50Mbps, latency: 5ms}}
pin:
  - {{host: ada, layers: [0, 3]}}
  - {{host: bob, layers: [3, {layers}]}}
"""
LONG = ("--timeout", "60s", "--json")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("behind")
    with ssh_hosts(2, folder, sites) as hosts:
        assert isinstance(hosts.network, Sites)
        hosts.network.shut(*hosts.addresses)
        spec = SPEC.format(folder=FOLDER, addresses=hosts.addresses, layers=num_layers())
        yield desk_of(hosts, folder, spec)


def edges(desk: Desk, *options: str, exit_code: int = 0) -> list[dict[str, object]]:
    """Return what the doctor says of the edges between hosts."""
    told = desk.hexplan("doctor", desk.plan, *desk.reach, *LONG, *options, exit_code=exit_code)
    found: list[dict[str, object]] = json.loads(told)["edges"]
    return [one for one in found if {one["caller"], one["listener"]} == {"ada", "bob"}]


@pytest.mark.slow
def test_a_doctor_finds_who_can_call_whom(desk: Desk) -> None:
    found = edges(desk, exit_code=7)
    assert {(one["caller"], one["is_open_back"]) for one in found} == {
        ("ada", True),
        ("bob", False),
    }
    mended = edges(desk, "--behind-nat", "bob")
    assert {one["caller"] for one in mended} == {"bob"}
    assert [one["problem"] for one in mended] == [None] * len(found)


@pytest.mark.slow
def test_a_host_behind_nat_serves_dies_and_comes_back(desk: Desk) -> None:
    with served(desk, "--behind-nat", "bob") as url:
        text = desk.ask(url)
        assert text
        for victim in (1, 0):
            (rank,) = desk.hosts.ranks(victim)
            os.kill(rank, signal.SIGKILL)
            assert wait_until(lambda: f"stage s{victim} is back" in log(desk), 120)  # noqa: B023
            assert desk.ask(url) == text
    assert text in desk.here("It is a truth")


@pytest.mark.slow
def test_two_hosts_that_nobody_can_call_are_refused(desk: Desk) -> None:
    both = ("--behind-nat", "bob", "--behind-nat", "ada", "--dry-run")
    desk.hexplan("serve", desk.plan, *desk.reach, *both, exit_code=2)
    desk.hexplan("serve", desk.plan, *desk.reach, "--behind-nat", "cyd", "--dry-run", exit_code=2)


def log(desk: Desk) -> str:
    """Return what the server has said so far."""
    return (desk.home / "serve.log").read_text()
