"""The objective `slo`: the plan that keeps the workload's SLO at the largest simulated rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hexplan.constants import FIGURE_DIGITS, PROMISE_BASIS
from hexplan.errors import InfeasibleError, InputError, LimitReached
from hexplan.predicted import RateRun
from hexplan.spec import Spec
from hexplan_solver.objectives.params import SLO_PARAMS
from hexplan_solver.objectives.sustained.figures import (
    draft_pipeline,
    draft_policy,
    rate_run,
    with_sustained,
)
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

NOT_FASTER = "no placement was found in which it raises the rate that keeps the promise"


def draft_slo(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find the plan whose simulated requests keep the SLO at the largest rate.

    The candidates are the plan of largest flow and plans on fewer and faster hosts. All are
    simulated with the same random numbers, at rates on a grid; bisection finds the largest rate
    that a candidate keeps. There is no proof that no other plan does better.

    Raises
    ------
    InfeasibleError
        If no plan exists.
    LimitReached
        If no candidate keeps the SLO at the smallest rate of its grid.
    InputError
        If the workload names no SLO.
    """
    run = Run(spec, options, report)
    trial = _SloTrial(spec, run.options.seed)
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
    """Yield the plan of largest flow, and one for each variant while time is left."""
    first_share, share = SLO_PARAMS.first_share, SLO_PARAMS.variant_share
    whole = replace(spec, objective="throughput")
    yield draft_throughput(whole, run.nested(run.left_s * first_share, first_share))
    for variant in variants_of(whole):
        if run.left_s == 0:
            return
        try:
            yield draft_throughput(variant, run.nested(run.left_s * share, share))
        except (InfeasibleError, LimitReached):
            continue


@dataclass(frozen=True, slots=True)
class _Kept:
    """A draft, with the largest rate at which it keeps the SLO, and the simulation of that rate."""

    draft: Draft
    rate: float
    outcome: Outcome
    run: RateRun


class _SloTrial:
    """Simulates plans against the SLO of one workload."""

    def __init__(self, spec: Spec, seed: int) -> None:
        workload = spec.workload
        if workload.slo is None:
            message = "the objective `slo` needs `workload.slo`"
            raise InputError(message, hint="such as `slo: {ttft: 2s, tpot: 100ms}`")
        self.slo = workload.slo
        self._simulated_slo = Slo(float(self.slo.ttft_s), float(self.slo.tpot_s))
        self._lengths = SpreadLengths(workload.prompt_tokens, workload.output_tokens)
        self._seed = seed

    def most(self, draft: Draft, above: float) -> _Kept | None:
        """Return the largest rate of the grid at which a draft keeps the SLO, if above `above`.

        The first step tried is the one just above, so that a draft that is no better costs one run.
        """
        draft = with_sustained(draft)
        pipeline, policy = draft_pipeline(draft), draft_policy(draft)
        unit = _static_rate(draft) / SLO_PARAMS.rate_steps
        low, high = int(above / unit + 1e-9), SLO_PARAMS.rate_steps + 1
        kept: _Kept | None = None
        step = low + 1
        while step < high:
            rate = round(step * unit, FIGURE_DIGITS)
            window = self.window(rate)
            outcome = self.at(pipeline, policy, rate)
            if self._is_kept(outcome):
                run = rate_run(rate, window, policy, outcome)
                kept, low = _Kept(draft, rate, outcome, run), step
            elif kept is None:
                return None
            else:
                high = step
            step = (low + high) // 2 if high - low > 1 else high
        return kept

    def at(self, pipeline: PipelineModel, policy: Policy, rate: float) -> Outcome:
        """Simulate a plan at one rate, in requests/s."""
        return simulate(pipeline, Poisson(rate, self._lengths), policy, self.window(rate))

    def window(self, rate: float) -> Window:
        """Return how long to simulate at a rate, in figures that a plan states exactly."""
        warm_up = SLO_PARAMS.warm_up_requests
        duration_s = (warm_up + SLO_PARAMS.measured_requests) / rate
        times = round(duration_s, FIGURE_DIGITS), round(warm_up / rate, FIGURE_DIGITS)
        return Window(*times, self._seed, slo=self._simulated_slo)

    def _is_kept(self, outcome: Outcome) -> bool:
        if outcome.slo is None or outcome.turned_away:
            return False
        return outcome.slo.attainment >= float(self.slo.attainment)


def _static_rate(draft: Draft) -> float:
    """Return the requests per second of the draft's largest flow."""
    mean_tokens = draft.evaluated.problem.spec.workload.mean_tokens
    return float(exact_rate(draft.value // mean_tokens))


def _unkept(spec: Spec, trial: _SloTrial, draft: Draft | None) -> LimitReached:
    slo = trial.slo
    asked = f"{float(slo.ttft_s):g} s to the first token and {float(slo.tpot_s):g} s a token"
    message = f"no plan was found that keeps {asked} for {slo.attainment:%} of requests"
    if draft is None:
        return LimitReached(message)
    rate = _static_rate(draft) / SLO_PARAMS.rate_steps
    outcome = trial.at(draft_pipeline(draft), draft_policy(draft), rate)
    means = [spread.mean_s for spread in (outcome.ttft, outcome.tpot) if spread is not None]
    shown = " and ".join(f"{mean:.3g} s" for mean in means)
    return LimitReached(message, hint=f"even at a low rate the means are {shown}; loosen `slo`")


def _finished(run: Run, spec: Spec, best: _Kept) -> Draft:
    """Put the draft back on the user's cluster, with what was simulated."""
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
            PROMISE_BASIS.format(requests=best.outcome.finished),
            best.run,
        ),
    )
