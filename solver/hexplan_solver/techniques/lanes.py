"""Whether more comes of lanes if the search knows of them: planned anew with them, and compared.

Without lanes the search prefers few devices a stage where their sums take long, and no finished
plan is then better with lanes.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from hexplan.cluster import Cluster
from hexplan.plan import Objective, Plan
from hexplan.spec import Spec
from hexplan.techniques import Chosen, Switch
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.candidates import stating
from hexplan_solver.techniques.choose import chosen_of
from hexplan_solver.techniques.judge import judge

SIMULATED: Final[tuple[Objective, ...]] = ("latency", "balanced", "sustained", "slo")
"""Objectives whose searches simulate, so that they count with lanes."""


def may_gain(spec: Spec) -> bool:
    """Say whether lanes are to be tried, and a search would find other stages with them."""
    cluster = spec.cluster
    asks = spec.objective in SIMULATED and cluster.techniques.interleave == "auto"
    return asks and any(len(h.devices) > 1 and h.interconnect is not None for h in cluster.hosts)


def with_lanes(spec: Spec) -> Spec:
    """Return the spec in which every stage interleaves that gains by it for some size of a step."""
    return replace(spec, cluster=_asking(spec.cluster, "on"))


def better_lanes(plain: Plan, lanes: Plan) -> Plan:
    """Return the plan that was made for lanes if it is better by more than the noise.

    Its requests end sooner then, and what the objective promises is no less.
    """
    if all(stage.interleave is None for stage in lanes.stages):
        return plain
    verdict = judge(plain, lanes)
    if not verdict.is_gain or _promised(lanes) < _promised(plain):
        return plain
    return as_chosen(stating(lanes, chosen_of("interleave", "on", "off", verdict)))


def as_chosen(lanes: Plan) -> Plan:
    """Return a plan that was made with lanes as one for which they were chosen.

    If it does not say by what gain, nothing carries the rate without lanes.
    """
    cluster = _asking(lanes.cluster, "auto")
    plan = lanes.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})
    if all(one.technique != "interleave" for one in plan.techniques):
        has_lanes = any(stage.interleave is not None for stage in plan.stages)
        value = "on" if has_lanes else "off"
        plan = stating(plan, Chosen(technique="interleave", value=value, tried="on"))
    return plan.model_copy(update={"predicted": repeat(plan)})


def _asking(cluster: Cluster, interleave: Switch) -> Cluster:
    """Return a cluster that asks for lanes so."""
    techniques = cluster.techniques.model_copy(update={"interleave": interleave})
    return cluster.model_copy(update={"techniques": techniques})


def _promised(plan: Plan) -> Decimal:
    """Return the rate that the objective is about, in requests/s; 0 if it is about none."""
    predicted = plan.predicted
    if plan.objective == "slo":
        return predicted.slo_requests_per_s or Decimal(0)
    if plan.objective == "latency" or predicted.sustained is None:
        return Decimal(0)
    return predicted.sustained.requests_per_s
