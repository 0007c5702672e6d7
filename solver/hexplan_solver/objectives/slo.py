"""The recipe for an SLO: the plan that keeps the promise at the largest simulated rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, InputError, LimitReached
from hexplan.plan import CertificateStatus, Plan
from hexplan.spec import Spec
from hexplan_solver.objectives.restore import restored
from hexplan_solver.objectives.sustained.figures import with_sustained
from hexplan_solver.objectives.throughput import try_solve
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.run import Run
from hexplan_solver.simulate import (
    Outcome,
    Pipeline,
    Poisson,
    Policy,
    Slo,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

FIRST_SHARE, VARIANT_SHARE = 0.25, 0.1
"""Shares of the time left for the plan of largest flow, and for each other candidate."""
MEASURED, WARM_UP = 200, 100
"""Requests of one simulation that are measured, and those before them, in the mean."""
STEPS = 64
"""Rates are tried on a grid of so many parts of the largest static rate."""
RATE_DIGITS, TIME_DIGITS = 6, 6
NOT_FASTER = "no placement was found in which it raises the rate that keeps the promise"


def solve_slo(spec: Spec, options: SolveOptions | None = None, report: Report = be_silent) -> Plan:
    """Find the plan whose simulated attainment holds at the largest rate.

    Candidates are the plan of largest flow and those of fewer and faster hosts. Each is simulated
    at rates on a grid, with the same random numbers for all; the largest rate is found by
    bisection. That no other plan does better is not proved.

    Raises
    ------
    InfeasibleError
        If no plan exists.
    LimitReached
        If no candidate keeps the promise at the smallest rate that was tried.
    InputError
        If the workload names no SLO.
    """
    run = Run(spec, options or SolveOptions(), report)
    trial = _Trial(spec, run.options.seed)
    best: _Kept | None = None
    first: Plan | None = None
    for plan in _candidates(run, spec):
        if first is None:
            first = plan
            bound = int(plan.certificate.bound_tokens_per_s * MICRO)
            run.lower(bound, plan.certificate.bound_proof)
        found = trial.most(plan, best.rate if best is not None else 0.0)
        if found is not None:
            best = found
            run.tell("slo", best.rate * spec.workload.mean_tokens)
    if best is None:
        raise _unkept(spec, trial, first)
    return _written(run, spec, best)


def _candidates(run: Run, spec: Spec) -> Iterator[Plan]:
    whole = replace(spec, objective="throughput")
    yield try_solve(whole, replace(run.options, time_limit_s=run.left_s * FIRST_SHARE))
    for variant in variants_of(whole):
        if run.left_s == 0:
            return
        try:
            yield try_solve(variant, replace(run.options, time_limit_s=run.left_s * VARIANT_SHARE))
        except (InfeasibleError, LimitReached):
            continue


@dataclass(frozen=True, slots=True)
class _Kept:
    """A plan, and what was simulated at the largest rate at which it keeps the promise."""

    plan: Plan
    rate: float
    outcome: Outcome


class _Trial:
    """Simulates plans against one promise."""

    def __init__(self, spec: Spec, seed: int) -> None:
        workload = spec.workload
        if workload.slo is None:
            message = "the objective `slo` needs `workload.slo`"
            raise InputError(message, hint="such as `slo: {ttft: 2s, tpot: 100ms}`")
        self.promise = workload.slo
        self._slo = Slo(float(self.promise.ttft_s), float(self.promise.tpot_s))
        sides = (workload.prompt_tokens, workload.output_tokens)
        self._lengths = SpreadLengths(*((side.mean, side.max) for side in sides))
        self._seed = seed

    def most(self, plan: Plan, above: float) -> _Kept | None:
        """Return the largest rate on the grid that is kept, where it is larger than `above`."""
        plan = with_sustained(plan)
        pipeline, policy = pipeline_of_plan(plan), policy_of_plan(plan)
        unit = float(plan.predicted.requests_per_s) / STEPS
        low, high = int(above / unit + 1e-9), STEPS + 1
        kept: _Kept | None = None
        step = low + 1
        while step < high:
            outcome = self.at(pipeline, policy, step * unit)
            if self._is_kept(outcome):
                kept, low = _Kept(plan, step * unit, outcome), step
            elif kept is None:
                return None
            else:
                high = step
            step = (low + high) // 2 if high - low > 1 else high
        return kept

    def at(self, pipeline: Pipeline, policy: Policy, rate: float) -> Outcome:
        """Simulate one rate."""
        window = Window((WARM_UP + MEASURED) / rate, WARM_UP / rate, self._seed)
        return simulate(pipeline, Poisson(rate, self._lengths), policy, window, slo=self._slo)

    def _is_kept(self, outcome: Outcome) -> bool:
        if outcome.slo is None or outcome.turned_away:
            return False
        return outcome.slo.attainment >= float(self.promise.attainment)


def _unkept(spec: Spec, trial: _Trial, plan: Plan | None) -> LimitReached:
    promise = trial.promise
    asked = (
        f"{float(promise.ttft_s):g} s to the first token and {float(promise.tpot_s):g} s a token"
    )
    message = f"no plan was found that keeps {asked} for {promise.attainment:%} of requests"
    if plan is None:
        return LimitReached(message)
    rate = float(plan.predicted.requests_per_s) / STEPS
    outcome = trial.at(pipeline_of_plan(plan), policy_of_plan(plan), rate)
    means = [spread.mean_s for spread in (outcome.ttft, outcome.tpot) if spread is not None]
    shown = " and ".join(f"{mean:.3g} s" for mean in means)
    return LimitReached(message, hint=f"even at a low rate the means are {shown}; loosen `slo`")


def _written(run: Run, spec: Spec, best: _Kept) -> Plan:
    """Restore the user's cluster around a plan of a variant, and state what was simulated."""
    ttft, tpot = best.outcome.ttft, best.outcome.tpot
    predicted = best.plan.predicted.model_copy(
        update={
            "slo_requests_per_s": round(Decimal(best.rate), RATE_DIGITS),
            "ttft_s": None if ttft is None else round(Decimal(ttft.mean_s), TIME_DIGITS),
            "tpot_s": None if tpot is None else round(Decimal(tpot.mean_s), TIME_DIGITS),
            "latency_basis": f"simulation of {best.outcome.finished} requests at the SLO's rate",
        }
    )
    proof = run.proof(int(best.plan.certificate.flow_tokens_per_s * MICRO))
    proof = replace(proof, status=CertificateStatus.FEASIBLE)
    plan = restored(best.plan, spec.cluster, proof, NOT_FASTER)
    return plan.model_copy(update={"predicted": predicted, "solve": run.info()})
