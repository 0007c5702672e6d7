"""Whether more would come of lanes if hosts were not cut: such plans are made anew, and compared.

The search cuts stages before anything is known of lanes, and so prefers few devices a stage where
their sums take long.
"""

from __future__ import annotations

from dataclasses import replace

from hexplan.cluster import GroupPin
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.techniques.candidates import stating
from hexplan_solver.techniques.choose import chosen_of
from hexplan_solver.techniques.judge import judge


def may_gain(spec: Spec) -> bool:
    """Say whether latencies count, lanes are to be tried, and some host could be one stage or many.

    Pins and exclusions are the user's own choice, which nothing is tried against.
    """
    cluster = spec.cluster
    is_free = not (cluster.group_pins or cluster.layer_pins or cluster.exclusions)
    asks = spec.objective == "latency" and cluster.techniques.interleave == "auto"
    return is_free and asks and any(len(host.devices) > 1 for host in cluster.hosts)


def cuts_hosts(plan: Plan) -> bool:
    """Say whether a host has several stages of the plan."""
    hosts = [stage.host for stage in plan.stages]
    return len(set(hosts)) < len(hosts)


def with_whole_hosts(spec: Spec) -> Spec:
    """Return the spec in which the devices of each host form one stage, if they serve."""
    cluster = spec.cluster
    pins = tuple(
        GroupPin(host=host.name, devices=tuple(range(len(host.devices))))
        for host in cluster.hosts
        if len(host.devices) > 1
    )
    return replace(spec, cluster=cluster.model_copy(update={"group_pins": pins}))


def better_lanes(cut: Plan, whole: Plan) -> Plan:
    """Return the plan of whole hosts if its lanes end requests sooner by more than the noise.

    What it says of pins is then what it was made for: hosts that are not cut.
    """
    if all(stage.interleave is None for stage in whole.stages):
        return cut
    verdict = judge(cut, whole)
    if not verdict.is_gain:
        return cut
    return stating(whole, chosen_of("interleave", "on", "off", verdict))
