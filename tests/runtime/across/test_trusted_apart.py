"""Hosts of a trusted site that lose each other: plain edges notice it, as encrypted ones do."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.across import trusting_plan
from support.launched import launched
from support.networks import Network
from support.processes import wait_until
from support.ssh_hosts import SshHosts

from hexplan.model import Model


def part(network: Network, state: str) -> None:
    """Keep the two hosts from each other, while the coordinator reaches both; or join them."""
    for index in (0, 1):
        port = ("ip", "link", "set", "dev", f"to{index}", "type", "bridge_slave")
        network.run_at_desk(*port, "isolated", state)


@pytest.mark.slow
def test_hosts_that_lose_each_other_are_named_and_nothing_is_left(
    hosts: SshHosts, llama_model: Model, llama: Path
) -> None:
    plan = trusting_plan(llama_model, hosts.addresses)
    with launched(hosts, plan, llama) as coordinator:
        assert len(coordinator.generate(3)) == 3
        coordinator.tell("endless")
        part(hosts.network, "on")
        try:
            failed = coordinator.hear()
            assert failed["event"] == "failed"
            assert "the connection to tcp://10.77.0.1" in failed["message"]
            assert wait_until(lambda: not any(map(hosts.processes, (0, 1))))
        finally:
            part(hosts.network, "off")
