"""Plain edges inside a trusted site: torch.distributed between hosts, with the same tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.across import plan_across
from support.launched import Running, launched
from support.ssh_hosts import SshHosts

from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

NUM_TOKENS = 24


@pytest.fixture(scope="module")
def plan(hosts: SshHosts, llama_model: Model) -> Plan:
    plan = plan_across(llama_model, [((0, 2), (1,)), ((2, 4), (1,))], hosts.addresses)
    cluster = plan.cluster.model_copy(update={"trusted_sites": (plan.cluster.hosts[0].site,)})
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


@pytest.fixture(scope="module")
def trusting(hosts: SshHosts, plan: Plan, llama: Path) -> Iterator[Running]:
    with launched(hosts, plan, llama) as coordinator:
        yield Running(hosts, plan, coordinator)


def test_tokens_over_plain_edges_are_those_of_one_machine(
    trusting: Running, plan: Plan, llama: Path
) -> None:
    with Pipeline(plan, llama) as pipeline:
        found = pipeline.generate([Request((1, 2, 3), NUM_TOKENS)])
        expected = [event.token_id for event in found]
    assert trusting.coordinator.generate(NUM_TOKENS) == expected
