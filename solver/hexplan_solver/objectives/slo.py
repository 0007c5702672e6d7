"""The objective `slo`: the plan that keeps the promise at the largest simulated rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hexplan.errors import InfeasibleError, InputError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.objectives.sustained.figures import draft_pipeline, draft_policy, with_sustained
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons, Latency
from hexplan_solver.plans.predicted import rate as exact_rate
from hexplan_solver.run import Run
from hexplan_solver.simulate import (
    Outcome,
    PipelineModel,
    Poisson,
    Policy,
    Slo,
    SpreadLengths,
    Window,
    simulate,
)

FIRST_SHARE, VARIANT_SHARE = 0.25, 0.1
"""Shares of the time left for the plan of largest flow, and for each other candidate."""
MEASURED, WARM_UP = 200, 100
"""Requests of one simulation that are measured, and those before them, in the mean."""
STEPS = 64
"""Rates are tried on a grid of so many parts of the largest static rate."""
NOT_FASTER = "no placement was found in which it raises the rate that keeps the promise"


def draft_slo(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
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
    run = Run(spec, options, report)
    trial = _Trial(spec, run.options.seed)
    best: _Kept | None = None
    first: Draft | None = None
    for draft in _candidates(run, spec):
        if first is None:
            first = draft
            run.lower(draft.proof.micro_tokens_per_s, draft.proof.how)
        found = trial.most(draft, best.rate if best is not None else 0.0)
        if found is not None:
            best = found
            run.tell("slo", best.rate * spec.workload.mean_tokens)
    if best is None:
        raise _unkept(spec, trial, first)
    return _finished(run, spec, best)


def _candidates(run: Run, spec: Spec) -> Iterator[Draft]:
    whole = replace(spec, objective="throughput")
    yield draft_throughput(whole, run.nested(run.left_s * FIRST_SHARE, FIRST_SHARE))
    for variant in variants_of(whole):
        if run.left_s == 0:
            return
        try:
            yield draft_throughput(variant, run.nested(run.left_s * VARIANT_SHARE, VARIANT_SHARE))
        except (InfeasibleError, LimitReached):
            continue


@dataclass(frozen=True, slots=True)
class _Kept:
    """A draft, and what was simulated at the largest rate at which it keeps the promise."""

    draft: Draft
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
        self._lengths = SpreadLengths(workload.prompt_tokens, workload.output_tokens)
        self._seed = seed

    def most(self, draft: Draft, above: float) -> _Kept | None:
        """Return the largest rate on the grid that is kept, where it is larger than `above`."""
        draft = with_sustained(draft)
        pipeline, policy = draft_pipeline(draft), draft_policy(draft)
        unit = _static_rate(draft) / STEPS
        low, high = int(above / unit + 1e-9), STEPS + 1
        kept: _Kept | None = None
        step = low + 1
        while step < high:
            outcome = self.at(pipeline, policy, step * unit)
            if self._is_kept(outcome):
                kept, low = _Kept(draft, step * unit, outcome), step
            elif kept is None:
                return None
            else:
                high = step
            step = (low + high) // 2 if high - low > 1 else high
        return kept

    def at(self, pipeline: PipelineModel, policy: Policy, rate: float) -> Outcome:
        """Simulate one rate."""
        duration_s, warmup_s = (WARM_UP + MEASURED) / rate, WARM_UP / rate
        window = Window(duration_s, warmup_s, self._seed, slo=self._slo)
        return simulate(pipeline, Poisson(rate, self._lengths), policy, window)

    def _is_kept(self, outcome: Outcome) -> bool:
        if outcome.slo is None or outcome.turned_away:
            return False
        return outcome.slo.attainment >= float(self.promise.attainment)


def _static_rate(draft: Draft) -> float:
    """Return the requests per second of the draft's largest flow."""
    mean_tokens = draft.evaluated.problem.spec.workload.mean_tokens
    return float(exact_rate(draft.value // mean_tokens))


def _unkept(spec: Spec, trial: _Trial, draft: Draft | None) -> LimitReached:
    promise = trial.promise
    asked = (
        f"{float(promise.ttft_s):g} s to the first token and {float(promise.tpot_s):g} s a token"
    )
    message = f"no plan was found that keeps {asked} for {promise.attainment:%} of requests"
    if draft is None:
        return LimitReached(message)
    rate = _static_rate(draft) / STEPS
    outcome = trial.at(draft_pipeline(draft), draft_policy(draft), rate)
    means = [spread.mean_s for spread in (outcome.ttft, outcome.tpot) if spread is not None]
    shown = " and ".join(f"{mean:.3g} s" for mean in means)
    return LimitReached(message, hint=f"even at a low rate the means are {shown}; loosen `slo`")


def _finished(run: Run, spec: Spec, best: _Kept) -> Draft:
    """Restore the user's cluster around a draft of a variant, and state what was simulated."""
    ttft, tpot = best.outcome.ttft, best.outcome.tpot
    return replace(
        best.draft,
        objective="slo",
        cluster=spec.cluster,
        proof=replace(run.proof(best.draft.value), status="feasible"),
        idle=IdleReasons(host=NOT_FASTER),
        slo_requests_per_s=best.rate,
        latency=Latency(
            None if ttft is None else ttft.mean_s,
            None if tpot is None else tpot.mean_s,
            f"simulation of {best.outcome.finished} requests at the SLO's rate",
        ),
    )
