"""Whether a plan is better with a technique: pairs of runs that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev

from hexplan.plan import Plan
from hexplan_solver.simulate import (
    Poisson,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)
from hexplan_solver.techniques.params import JUDGE_PARAMS


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much sooner requests end, as shares of the time that they take without."""

    gain: float
    """In the mean over all pairs."""
    noise: float
    """What a gain must exceed to be believed."""

    @property
    def is_gain(self) -> bool:
        """Whether the technique pays."""
        return self.gain > self.noise


def judge(without: Plan, with_it: Plan) -> Verdict:
    """Compare two plans for the same workload at the same rate, arrivals and lengths."""
    rate = requests_per_s(without)
    pairs = zip(_mean_times(without, rate), _mean_times(with_it, rate), strict=True)
    return verdict_of([1 - after_s / before_s for before_s, after_s in pairs])


def verdict_of(gains: Sequence[float]) -> Verdict:
    """Return what the gains of some pairs say together."""
    params = JUDGE_PARAMS
    error = stdev(gains) / sqrt(len(gains))
    return Verdict(fmean(gains), params.error_factor * error + params.margin)


def requests_per_s(plan: Plan) -> float:
    """Return the rate at which plans are compared: the workload's, or most of what one serves."""
    if plan.workload.request_rate_per_s is not None:
        return plan.workload.request_rate_per_s
    sustained = plan.predicted.sustained
    served = plan.predicted.requests_per_s
    if sustained is not None:
        served = min(served, sustained.requests_per_s)
    return JUDGE_PARAMS.load * float(served)


def _mean_times(plan: Plan, rate: float) -> list[float]:
    """Return the mean seconds of a request for each seed."""
    params, workload = JUDGE_PARAMS, plan.workload
    traffic = Poisson(rate, SpreadLengths(workload.prompt_tokens, workload.output_tokens))
    pipeline, policy = pipeline_of_plan(plan), replace(policy_of_plan(plan), queue=plan.queue)
    duration_s = params.requests / rate
    window = Window(duration_s, params.warmup * duration_s)
    times = []
    for seed in params.seeds:
        outcome = simulate(pipeline, traffic, policy, replace(window, seed=seed))
        # Where nothing ends within the run, a request takes that long at least.
        times.append(outcome.e2e.mean_s if outcome.e2e is not None else duration_s)
    return times
