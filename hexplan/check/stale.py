"""Stale: whether a plan is still the plan of its cluster.yaml."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.rule import Rule, Violation
from hexplan.cluster import Cluster
from hexplan.frozen_model import FrozenModel
from hexplan.joining import split
from hexplan.plan import Plan
from hexplan.spec import Spec

PLAN_STALE = Rule(
    "HEX902",
    "plan-stale",
    "With `--cluster`: the cluster, the model, the workload and the objective of the plan are those"
    " that the cluster.yaml states now.",
)
_MOST_NAMES = 3
"""How many of the changed fields or hosts a message names."""


def stale_violations(plan: Plan, spec: Spec) -> Iterator[Violation]:
    """Yield each part of the spec that has changed since the plan was made."""
    # Joined hosts are the planner's doing; the spec has their machines.
    cluster = split(plan.cluster, [host.name for host in plan.cluster.hosts if host.parts])
    yield from _hosts(cluster, spec.cluster)
    changed = [name for name in _differing(cluster, spec.cluster) if name != "hosts"]
    for name in changed:
        yield PLAN_STALE.at(f"cluster, {name}", "the cluster.yaml states something else now")
    for what, planned, stated in (
        ("model", plan.model, spec.model),
        ("workload", plan.workload, spec.workload),
    ):
        if names := _differing(planned, stated):
            message = f"the cluster.yaml states another {_listed(names)} now"
            yield PLAN_STALE.at(what, message)
    if plan.objective != spec.objective:
        message = f"the plan is for {plan.objective}, the cluster.yaml asks for {spec.objective}"
        yield PLAN_STALE.at("objective", message)


def _hosts(before: Cluster, now: Cluster) -> Iterator[Violation]:
    planned = {host.name: host for host in before.hosts}
    stated = {host.name: host for host in now.hosts}
    for name, host in stated.items():
        if name not in planned:
            yield PLAN_STALE.at(f"host {name}", "it is new since the plan was made")
        elif names := _differing(planned[name], host):
            message = f"the cluster.yaml states another {_listed(names)} now"
            yield PLAN_STALE.at(f"host {name}", message)
    for name in planned:
        if name not in stated:
            yield PLAN_STALE.at(f"host {name}", "the cluster.yaml has it no more")
    if not set(planned) ^ set(stated) and list(planned) != list(stated):
        yield PLAN_STALE.at("cluster, hosts", "the cluster.yaml lists them in another order now")


def _differing(planned: FrozenModel, stated: FrozenModel) -> list[str]:
    names = type(planned).model_fields
    return [name for name in names if getattr(planned, name) != getattr(stated, name)]


def _listed(names: list[str]) -> str:
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMES]) + more
