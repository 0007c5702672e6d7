"""Hosts that a plan does not need to carry its rate."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hexplan_solver.flow.evaluate import evaluate, evaluate_used
from hexplan_solver.placement.placement import Placement
from hexplan_solver.plans.draft import Draft
from hexplan_solver.replicas.pool import is_of_replicas


def without_idle(draft: Draft, needed: int) -> Draft:
    """Drop each host without which the stages of the others still carry the flow, dearest first.

    A heuristic: hosts are dropped one at a time, so a cheaper set may be missed.

    Parameters
    ----------
    needed
        The flow to carry, in 1e-6 tokens/s.
    """
    problem, kept = draft.evaluated.problem, draft.evaluated.placement
    cluster = problem.spec.cluster
    pinned, hosts = {pin.host for pin in cluster.layer_pins}, cluster.host_by_name
    dearest = sorted(draft.used_hosts, key=lambda name: -(hosts[name].rent_usd_per_h or Decimal(0)))
    for name in dearest:
        fewer = Placement.of(stage for stage in kept if stage.host != name)
        if name in pinned or not fewer or not hosts[name].rent_usd_per_h:
            continue
        if evaluate(problem, fewer).value >= needed:
            kept = fewer
    if len(kept) == len(draft.evaluated.placement):
        return draft
    # Where replicas are whole, what remains of others carries nothing.
    again = evaluate_used if is_of_replicas(problem) else evaluate
    return replace(draft, evaluated=again(problem, kept))
