"""Plans whose stages run on hosts with networks of their own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from support.networks import Network
from support.runtime_plans import GIGABYTE, StageSpec, make_plan

from hexplan.cluster import Link
from hexplan.host import Host
from hexplan.model import Model
from hexplan.plan import Plan

NAMES = ("ada", "bob", "cyd", "dot")
"""Names of hosts, in the order of their addresses."""


def plan_across(
    model: Model,
    stages: Sequence[StageSpec],
    addresses: Sequence[str],
    routes: Sequence[tuple[Sequence[int], int]] | None = None,
) -> Plan:
    """Return a plan with a stage on each of these hosts."""
    plan = make_plan(model, stages, routes)
    old = plan.cluster.hosts[0]
    hosts = tuple(
        Host(**{**old.model_dump(exclude={"parts"}), "name": NAMES[index], "address": address})
        for index, address in enumerate(addresses)
    )
    link = Link(
        source="desk", target="desk", bandwidth_bytes_per_s=GIGABYTE, latency_s=Decimal("0.001")
    )
    cluster = plan.cluster.model_copy(update={"hosts": hosts, "links": (link,)})
    placed = tuple(
        stage.model_copy(update={"host": NAMES[index]}) for index, stage in enumerate(plan.stages)
    )
    update = {"cluster": cluster, "cluster_sha256": cluster.sha256, "stages": placed}
    return plan.model_copy(update=update)


def trusting_plan(model: Model, addresses: Sequence[str]) -> Plan:
    """Return a plan of two stages on two hosts of a site that is trusted."""
    plan = plan_across(model, [((0, 2), (1,)), ((2, 4), (1,))], addresses)
    cluster = plan.cluster.model_copy(update={"trusted_sites": (plan.cluster.hosts[0].site,)})
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


def addresses_of(network: Network, num_hosts: int) -> list[str]:
    """Return the addresses of the hosts of a network."""
    return [network.address(index) for index in range(num_hosts)]
