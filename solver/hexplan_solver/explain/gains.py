"""The gain of each change of the cluster: found by a new search, and bounded by its proof."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import Plan
from hexplan.results.explanation import Gain, How
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.explain.changes import ClusterChange
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem


def gain_of(
    plan: Plan, stages: Sequence[PlacedStage], change: ClusterChange, search: SolveOptions | None
) -> Gain:
    """Return the gain of one change; without `search`, no new placement is looked for.

    The plan itself is still possible in the changed cluster, so a gain is never below 0.
    """
    flow = _micro(plan.certificate.flow_tokens_per_s)
    rerouted = _rerouted(change, stages) if change.keeps_stages else None
    bound = work_bound(build_problem(change.spec))
    solved = None
    if search is not None:
        try:
            solved = draft_throughput(change.spec, search)
        except (InfeasibleError, LimitReached):
            solved = None
    found: int | None = rerouted
    if solved is not None:
        found = max(found or 0, solved.value)
        bound = min(bound, solved.proof.proved.micro_tokens_per_s)
    if found is None and search is not None:
        found = flow
    how: How = "re-solve" if found is not None else "bound alone"
    if found is not None and found == rerouted:
        how = "new routes"
    return Gain(
        kind=change.kind,
        change=change.words,
        found_tokens_per_s=None if found is None else _tokens(max(0, found - flow)),
        how=how,
        at_most_tokens_per_s=_tokens(max(0, bound - flow)),
    )


def _rerouted(change: ClusterChange, stages: Sequence[PlacedStage]) -> int:
    return max_flow(build_network(change.spec, stages)).value


def _micro(tokens_per_s: Decimal) -> int:
    return int(tokens_per_s * MICRO)


def _tokens(micro: int) -> Decimal:
    return Decimal(micro) / MICRO
