"""A plan is stale once its cluster.yaml states something else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.joined_plans import joined_plan
from support.plans import two_hosts_plan

from hexplan.check import stale_violations
from hexplan.joining import split
from hexplan.plan import Plan
from hexplan.spec import Spec

TWO = two_hosts_plan()
BIG, SMALL = TWO.cluster.hosts


def spec_of(plan: Plan) -> Spec:
    return Spec(plan.cluster, plan.model, plan.workload, plan.objective)


def stale(plan: Plan, spec: Spec) -> list[str]:
    return [f"{one.where}: {one.message}" for one in stale_violations(plan, spec)]


def test_a_plan_is_up_to_date_with_the_spec_that_it_carries() -> None:
    assert stale(TWO, spec_of(TWO)) == []


def test_hosts_that_the_planner_joined_are_those_of_the_spec() -> None:
    plan = joined_plan()
    names = [host.name for host in plan.cluster.hosts if host.parts]
    assert names
    spec = replace(spec_of(plan), cluster=split(plan.cluster, names))
    assert stale(plan, spec) == []


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        ((BIG,), "host small: the cluster.yaml has it no more"),
        ((BIG, SMALL, BIG.model_copy(update={"name": "c"})), "host c: it is new since the plan"),
        ((BIG, SMALL.model_copy(update={"site": "x"})), "host small: the cluster.yaml states ano"),
        ((SMALL, BIG), "cluster, hosts: the cluster.yaml lists them in another order"),
    ],
)
def test_changed_hosts_are_named(hosts: tuple[object, ...], told: str) -> None:
    cluster = TWO.cluster.model_copy(update={"hosts": hosts})
    (line,) = stale(TWO, replace(spec_of(TWO), cluster=cluster))
    assert line.startswith(told)


def test_another_model_workload_limit_or_objective_is_named() -> None:
    spec = spec_of(TWO)
    limits = TWO.cluster.limits.model_copy(update={"chunk_tokens": 7})
    changed = Spec(
        TWO.cluster.model_copy(update={"limits": limits}),
        spec.model.model_copy(update={"layers": 99}),
        spec.workload.model_copy(update={"request_rate_per_s": 9.0}),
        "cost",
    )
    assert stale(TWO, changed) == [
        "cluster, limits: the cluster.yaml states something else now",
        "model: the cluster.yaml states another `layers` now",
        "workload: the cluster.yaml states another `request_rate_per_s` now",
        f"objective: the plan is for {TWO.objective}, the cluster.yaml asks for cost",
    ]
