"""The sustained rate of a draft, with figures rounded as the plan states them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from hexplan.constants import SERVED_BASIS
from hexplan.predicted import RateRun, SimulatedRate, SustainedRate
from hexplan.step_limits import StepLimits
from hexplan_solver.objectives.sustained.candidate import Candidate, stated_rate_of
from hexplan_solver.objectives.sustained.trial import Trial, mean_tpot_s, mean_ttft_s
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.predicted import figure
from hexplan_solver.served.rehearsal.rate import RehearsedRate
from hexplan_solver.served.served import ServedRate
from hexplan_solver.served.stated import stated_rate
from hexplan_solver.served.step_limits import with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    Outcome,
    PipelineModel,
    Policy,
    Window,
    pipeline_of_placement,
)


def draft_pipeline(draft: Draft) -> PipelineModel:
    """Return the pipeline of a draft, its figures rounded as the plan will state them."""
    found = draft.evaluated
    return pipeline_of_placement(found.problem, found.network, found.flow)


def with_sustained(draft: Draft) -> Draft:
    """Return the draft with its step limits and its sustained rate, unless it has them already."""
    if draft.sustained is not None:
        return draft
    spec = draft.evaluated.problem.spec
    pipeline = draft_pipeline(draft)
    policy, _ = with_step_limits(spec, pipeline, CHUNKED)
    stated = stated_rate(pipeline, spec.workload, policy)
    if stated.requests_per_s <= 0:
        return draft
    return _stating(draft, policy, sustained_rate(stated, policy))


def with_trial(draft: Draft, trial: Trial) -> Draft:
    """Return the draft with its sustained rate, rehearsed and simulated."""
    window = trial.window
    simulated = SimulatedRate(
        decode_tokens_per_s=figure(trial.decode_tokens_per_s),
        requests_per_s=figure(trial.requests_per_s),
        ttft_s=figure(mean_ttft_s(trial.outcomes)),
        tpot_s=figure(mean_tpot_s(trial.outcomes)),
        seeds=tuple(outcome.seed for outcome in trial.outcomes),
        duration_s=figure(window.duration_s or 0.0),
        warmup_s=figure(window.warmup_s or 0.0),
        requests=sum(outcome.finished for outcome in trial.outcomes),
    )
    policy = trial.found.policy
    return _stating(draft, policy, sustained_rate(stated_rate_of(trial.found), policy, simulated))


def with_estimate(draft: Draft, found: Candidate) -> Draft:
    """Return the draft with its sustained rate, rehearsed alone."""
    return _stating(draft, found.policy, sustained_rate(stated_rate_of(found), found.policy))


def rate_run(
    rate_per_s: float, window: Window, policy: Policy, outcomes: Sequence[Outcome]
) -> RateRun:
    """Return simulations of random arrivals, one for each seed, in the form that a plan states."""
    kept = [outcome.slo.attainment for outcome in outcomes if outcome.slo is not None]
    return RateRun(
        policy=policy.scheduling,
        requests_per_s=figure(rate_per_s),
        seeds=tuple(outcome.seed for outcome in outcomes),
        duration_s=figure(window.duration_s or 0.0),
        warmup_s=figure(window.warmup_s or 0.0),
        requests=sum(outcome.finished for outcome in outcomes),
        attainment=figure(fmean(kept)) if kept else None,
    )


def sustained_rate(
    stated: RehearsedRate | ServedRate, policy: Policy, simulated: SimulatedRate | None = None
) -> SustainedRate:
    """Return a rate in the form that a plan states."""
    return SustainedRate(
        decode_tokens_per_s=figure(stated.decode_tokens_per_s),
        requests_per_s=figure(stated.requests_per_s),
        policy=policy.scheduling,
        basis=SERVED_BASIS[policy.scheduling],
        simulated=simulated,
    )


def _stating(draft: Draft, policy: Policy, rate: SustainedRate) -> Draft:
    limits = None
    if policy.chunk_tokens is not None:
        limits = StepLimits(tokens=policy.chunk_tokens, decodes=policy.max_decode_tokens)
    return replace(draft, sustained=rate, step_limits=limits)
