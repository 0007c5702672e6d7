"""The recipe where hosts may be joined: a plan for each way to join them, of which the best stays.

Groups of devices across hosts are thus planned like those of one host (docs/formulation.md 12).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import CertificateStatus, Plan
from hexplan.spec import Spec
from hexplan_solver.bounds.bounds import work_bound
from hexplan_solver.objectives.restore import proved
from hexplan_solver.options import Report, SolveOptions
from hexplan_solver.plans.extract import Proof
from hexplan_solver.problem.joins import Way, as_joined, ways_to_join
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

Recipe = Callable[[Spec, SolveOptions | None, Report], Plan]

FIRST_SHARE = 0.4
"""Share of the time for a plan without joined hosts; the ways to join share the rest."""


@dataclass(slots=True)
class _Tried:
    """A way to join hosts, what no flow exceeds in it, and the plan, where one was found."""

    spec: Spec
    bound: int
    plan: Plan | None = None


def best_joined(recipe: Recipe, spec: Spec, options: SolveOptions, report: Report) -> Plan:
    """Return the best plan over ways to join hosts, with the bound over all of them.

    Raises
    ------
    InfeasibleError
        If no plan exists without joined hosts, and none was found with them.
    LimitReached
        If the time was up before one was found.
    """
    run = Run(spec, options, report)
    ways: list[Way] = [(), *ways_to_join(spec.cluster)]
    tried = [_start(spec, way) for way in ways]
    failures: list[InfeasibleError | LimitReached] = []
    for index, attempt in enumerate(tried):
        best = _best(tried)
        if best is not None and (not run.left_s or _is_beaten(attempt, best)):
            continue
        share = 1 / (len(tried) - index) if index else max(FIRST_SHARE, 1 / len(tried))
        limited = replace(options, time_limit_s=max(1e-3, run.left_s * share))
        try:
            attempt.plan = recipe(attempt.spec, limited, report)
        except (InfeasibleError, LimitReached) as error:
            failures.append(error)
            continue
        own = attempt.plan.certificate.bound_tokens_per_s * MICRO
        attempt.bound = min(attempt.bound, int(own))
    best = _best(tried)
    if best is None:
        # That time was up says less than that no plan exists, which has to hold for all ways.
        raise next((f for f in failures if isinstance(f, LimitReached)), failures[0])
    info = best.solve.model_copy(update={"wall_s": run.info().wall_s})
    return _with_bounds(best.model_copy(update={"solve": info}), tried)


def _start(spec: Spec, way: Way) -> _Tried:
    there = replace(spec, cluster=as_joined(spec.cluster, way))
    problem = build_problem(there)
    return _Tried(there, work_bound(problem) if problem.classes else 0)


def _is_beaten(attempt: _Tried, best: Plan) -> bool:
    """Say whether no plan of this way can be better, by flow."""
    flow = int(best.certificate.flow_tokens_per_s * MICRO)
    return attempt.spec.objective == "throughput" and attempt.bound <= flow


def _best(tried: list[_Tried]) -> Plan | None:
    """Return the best plan so far; of equals the first one, in which fewer hosts are joined."""
    plans = [attempt.plan for attempt in tried if attempt.plan is not None]
    return max(plans, key=_merit, default=None)


def _merit(plan: Plan) -> Decimal:
    """Return what the objective wants to be large."""
    predicted, (ttft_s, tpot_s) = plan.predicted, (plan.predicted.ttft_s, plan.predicted.tpot_s)
    if plan.objective == "latency" and ttft_s is not None and tpot_s is not None:
        return -(ttft_s + plan.workload.output_tokens.mean * tpot_s)
    if plan.objective == "slo" and predicted.slo_requests_per_s is not None:
        return predicted.slo_requests_per_s
    if plan.objective == "cost" and predicted.cost_usd_per_h is not None:
        return -predicted.cost_usd_per_h
    if plan.objective == "sustained" and predicted.sustained is not None:
        rates = predicted.sustained.simulated or predicted.sustained
        return rates.decode_tokens_per_s
    return plan.certificate.flow_tokens_per_s


def _with_bounds(best: Plan, tried: list[_Tried]) -> Plan:
    """State the bounds over all ways that were tried."""
    told = f"the largest over {len(tried)} ways to join hosts"
    largest = max(tried, key=lambda attempt: attempt.bound)
    certificate = best.certificate
    own = int(certificate.bound_tokens_per_s * MICRO)
    if largest.bound > own:
        how = "work bound: exact arithmetic over all layer counts"
        if largest.plan is not None:
            how = largest.plan.certificate.bound_proof
        is_optimal = certificate.status == CertificateStatus.OPTIMAL
        status = CertificateStatus.FEASIBLE if is_optimal else certificate.status
        certificate = proved(certificate, Proof(largest.bound, f"{how}; {told}", status))
    else:
        how = f"{certificate.bound_proof}; {told}"
        certificate = certificate.model_copy(update={"bound_proof": how})
    return best.model_copy(update={"certificate": certificate})
