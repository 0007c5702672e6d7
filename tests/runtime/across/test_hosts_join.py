"""A plan that is applied brings in a host which the launch did not have, and lets one go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.desks import FOLDER, desk_of, served
from support.processes import wait_until
from support.ssh_hosts import ssh_hosts

SPEC = """\
version: 1
name: lab
model: {{path: {folder}, dtype: float32}}
objective: throughput
workload: {{prompt_tokens: {{mean: 32, max: 64}}, output_tokens: {{mean: 32, max: 64}}}}
devices:
  core: {{kind: cpu, memory: 64MiB, memory_bandwidth: 10GB/s, compute: 50GFLOPS}}
hosts:
{hosts}
coordinator: {{site: lab, nic: 1Gbps}}
links: [{{within: lab, bandwidth: 1Gbps, latency: 0.1ms}}]
pin: [{{host: {first}, layers: [0, 3]}}, {{host: {last}, layers: [3, 6]}}]
"""
HOST = "  - {{name: {0}, site: lab, address: {1}, devices: core, nic: 1Gbps}}"


def spec_of(places: dict[str, str]) -> str:
    """Return a spec of two hosts that knows of no other one."""
    hosts = "\n".join(HOST.format(name, address) for name, address in places.items())
    first, last = places
    return SPEC.format(folder=FOLDER, hosts=hosts, first=first, last=last)


@pytest.mark.slow
def test_a_host_joins_a_launch_with_the_plan_that_needs_it(tmp_path: Path) -> None:
    with ssh_hosts(3, tmp_path) as hosts:
        ada, bob, cyd = hosts.addresses
        desk = desk_of(hosts, tmp_path, spec_of({"ada": ada, "bob": bob}))
        spec, plan = tmp_path / "other.yaml", tmp_path / "other.json"
        spec.write_text(spec_of({"ada": ada, "cyd": cyd}))
        desk.hexplan("solve", spec, "-o", plan)
        with served(desk) as url:
            expected = desk.ask(url)
            assert not hosts.processes(2)
            desk.hexplan("apply", plan, "--dry-run")
            assert not hosts.processes(2)
            desk.hexplan("apply", plan)
            assert len(hosts.ranks(2)) == 1
            assert wait_until(lambda: not hosts.ranks(1))
            status = json.loads(desk.hexplan("status", "--json"))
            assert {stage["host"] for stage in status["stages"]} == {"ada", "cyd"}
            assert desk.ask(url) == expected
        assert wait_until(lambda: not any(map(hosts.processes, range(3))))
