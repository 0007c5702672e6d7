"""The sustained rate of a draft, with figures rounded as the plan states them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hexplan.constants import FIGURE_DIGITS, MICRO, WEIGHT_DIGITS
from hexplan.plan import SimulatedRate, SustainedRate
from hexplan.step_limits import StepLimits
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.trial import Trial, mean_tpot_s, mean_ttft_s
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.shards import split
from hexplan_solver.served.served import ServedRate
from hexplan_solver.served.step_limits import widest, with_step_limits
from hexplan_solver.simulate import CHUNKED, PipelineModel, Policy, edge_flows, pipeline_of_flows

FORMULA = "mean-field formula, calibrated against the simulator"
BLOCKING = "requests in flight over the time for which whole prompts block others, not calibrated"


def draft_pipeline(draft: Draft) -> PipelineModel:
    """Return the pipeline of a draft, its figures rounded as the plan will state them."""
    found, paths = draft.evaluated, draft.evaluated.flow.paths
    flows = {ends: amount / MICRO for ends, amount in edge_flows(paths).items()}
    weights = split(10**WEIGHT_DIGITS, [path.amount for path in paths])
    chains = {path.stages: weight for path, weight in zip(paths, weights, strict=True)}
    return pipeline_of_flows(found.problem, found.network, flows, chains)


def draft_policy(draft: Draft) -> Policy:
    """Return hexplan's own policy with the draft's step limits, or with the widest ones."""
    if draft.step_limits is None:
        return widest(draft.evaluated.problem.spec, CHUNKED)
    return CHUNKED.within(draft.step_limits)


def with_sustained(draft: Draft) -> Draft:
    """Return the draft with its step limits and its sustained rate, unless it has them already."""
    if draft.sustained is not None:
        return draft
    spec = draft.evaluated.problem.spec
    policy, served = with_step_limits(spec, draft_pipeline(draft), CHUNKED)
    if served.requests_per_s <= 0:
        return draft
    return _stating(draft, policy, sustained_rate(served, policy))


def with_trial(draft: Draft, trial: Trial) -> Draft:
    """Return the draft with its sustained rate by the formula and in the simulator."""
    window = trial.window
    simulated = SimulatedRate(
        decode_tokens_per_s=_exact(trial.decode_tokens_per_s),
        requests_per_s=_exact(trial.requests_per_s),
        ttft_s=_exact(mean_ttft_s(trial.outcomes)),
        tpot_s=_exact(mean_tpot_s(trial.outcomes)),
        seeds=tuple(outcome.seed for outcome in trial.outcomes),
        duration_s=_exact(window.duration_s or 0.0),
        warmup_s=_exact(window.warmup_s or 0.0),
    )
    policy = trial.found.policy
    return _stating(draft, policy, sustained_rate(trial.found.served, policy, simulated))


def with_estimate(draft: Draft, found: Candidate) -> Draft:
    """Return the draft with its sustained rate by the formula alone."""
    return _stating(draft, found.policy, sustained_rate(found.served, found.policy))


def sustained_rate(
    served: ServedRate, policy: Policy, simulated: SimulatedRate | None = None
) -> SustainedRate:
    """Return a served rate in the form that a plan states."""
    return SustainedRate(
        decode_tokens_per_s=_exact(served.decode_tokens_per_s),
        requests_per_s=_exact(served.requests_per_s),
        policy=policy.name,
        basis=BLOCKING if policy.chunk_tokens is None else FORMULA,
        simulated=simulated,
    )


def _stating(draft: Draft, policy: Policy, rate: SustainedRate) -> Draft:
    limits = None
    if policy.chunk_tokens is not None:
        limits = StepLimits(tokens=policy.chunk_tokens, decodes=policy.max_decode_tokens)
    return replace(draft, sustained=rate, step_limits=limits)


def _exact(value: float) -> Decimal:
    return Decimal(str(round(value, FIGURE_DIGITS)))
