"""Hosts that may be joined: a draft for each way to join them, and the best of these drafts.

So a group of devices across hosts is planned like a group of one host (docs/formulation.md 12).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import CertificateStatus
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.bounds.proof import Proof, Trusted
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.objectives.params import JOIN_PARAMS
from hexplan_solver.options import Report, SolveOptions
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.predicted import rate
from hexplan_solver.problem.joins import JoinChoice, as_joined, join_choices
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run, hexplan_itself

Planner = Callable[[Spec, SolveOptions, Report], Draft]
"""Finds a draft for one objective."""


REACHED = (CertificateStatus.OPTIMAL, CertificateStatus.OPTIMAL_IF_TRUSTED)
"""What the status of a draft says if its flow reaches a bound."""


@dataclass(slots=True)
class _Attempt:
    """A way to join hosts, with a bound on every flow and the draft, where one was found."""

    spec: Spec
    bound: int
    draft: Draft | None = None


def best_joined(plan: Planner, spec: Spec, options: SolveOptions, report: Report) -> Draft:
    """Return the best draft over the ways to join hosts, with a bound that holds for all of them.

    A way whose bound the best draft already reaches is skipped.

    Raises
    ------
    InfeasibleError
        If no plan exists without joined hosts, and none was found with them.
    LimitReached
        If the time was up before one was found.
    """
    run = Run(spec, options, report)
    ways: list[JoinChoice] = [(), *join_choices(spec.cluster)]
    attempts = [_attempt(spec, way) for way in ways]
    failures: list[InfeasibleError | LimitReached] = []
    for index, attempt in enumerate(attempts):
        best = _best(attempts)
        if best is not None and (not run.left_s or _is_beaten(attempt, best)):
            continue
        first_share = max(JOIN_PARAMS.first_share, 1 / len(attempts))
        share = 1 / (len(attempts) - index) if index else first_share
        effort = (1 - first_share) / (len(attempts) - 1) if index else first_share
        try:
            attempt.draft = plan(attempt.spec, run.nested(run.left_s * share, effort), report)
        except (InfeasibleError, LimitReached) as error:
            failures.append(error)
            continue
        attempt.bound = min(attempt.bound, attempt.draft.proof.best)
    best = _best(attempts)
    if best is None:
        # Only if every way is infeasible does no plan exist; a time limit proves nothing.
        raise next((f for f in failures if isinstance(f, LimitReached)), failures[0])
    return replace(best, proof=_proof(best, attempts))


def _attempt(spec: Spec, way: JoinChoice) -> _Attempt:
    joined = replace(spec, cluster=as_joined(spec.cluster, way))
    problem = build_problem(joined)
    return _Attempt(joined, work_bound(problem) if problem.classes else 0)


def _is_beaten(attempt: _Attempt, best: Draft) -> bool:
    """Say whether no plan of this way can have a larger flow, if the objective is the flow."""
    return attempt.spec.objective == "throughput" and attempt.bound <= best.value


def _best(attempts: list[_Attempt]) -> Draft | None:
    """Return the best draft so far; of equals the first, which joins fewer hosts."""
    drafts = [attempt.draft for attempt in attempts if attempt.draft is not None]
    return max(drafts, key=_merit, default=None)


def _merit(draft: Draft) -> Decimal:
    """Return the figure that the objective maximises."""
    if draft.objective == "latency" and draft.latency is not None:
        output = draft.evaluated.problem.spec.workload.output_tokens.mean
        total_s = draft.latency.total_s(output)
        if total_s is not None:
            return -Decimal(total_s)
    if draft.objective == "slo" and draft.slo_requests_per_s is not None:
        return Decimal(draft.slo_requests_per_s)
    if draft.objective == "cost" and draft.cost_usd_per_h is not None:
        return -draft.cost_usd_per_h
    if draft.objective in ("sustained", "balanced") and draft.sustained is not None:
        return (draft.sustained.simulated or draft.sustained).decode_tokens_per_s
    return rate(draft.value)


def _proof(best: Draft, attempts: list[_Attempt]) -> Proof:
    """Add the largest bound over all ways to join hosts: it holds for each of them.

    The plan has the hosts of one way, so only the bound for that way can be recomputed from it.
    """
    largest, own = max(attempt.bound for attempt in attempts), best.proof
    status = own.status
    if largest > own.best and status in REACHED:
        status = CertificateStatus.FEASIBLE
    return Proof(own.proved, Trusted(max(largest, own.best), "joins", hexplan_itself()), status)
