"""The sustained rate as a plan states it."""

from __future__ import annotations

from decimal import Decimal

from hexplan.plan import Plan, SimulatedRate, SustainedRate
from hexplan.step_limits import StepLimits
from hexplan_solver.objectives.sustained.trial import Trial
from hexplan_solver.served.served import ServedRate
from hexplan_solver.served.step_limits import with_step_limits
from hexplan_solver.simulate import CHUNKED, Policy, pipeline_of_plan, spec_of

DIGITS = 6
FORMULA = "mean-field formula, calibrated against the simulator"
BLOCKING = "requests in flight over the time for which whole prompts block others, not calibrated"


def with_sustained(plan: Plan) -> Plan:
    """Return the plan with its step limits and what it serves for long, unless it has them."""
    if plan.predicted.sustained is not None:
        return plan
    policy, served = with_step_limits(spec_of(plan), pipeline_of_plan(plan), CHUNKED)
    if served.requests_per_s <= 0:
        return plan
    return _stating(plan, policy, sustained_rate(served, policy))


def with_trial(plan: Plan, trial: Trial) -> Plan:
    """Return the plan with what it serves for long by the formula and in the simulator."""
    window = trial.window
    simulated = SimulatedRate(
        decode_tokens_per_s=_exact(trial.decode_tokens_per_s),
        requests_per_s=_exact(trial.requests_per_s),
        ttft_s=_exact(trial.ttft_s),
        tpot_s=_exact(trial.tpot_s),
        seeds=tuple(outcome.seed for outcome in trial.outcomes),
        duration_s=_exact(window.duration_s or 0.0),
        warmup_s=_exact(window.warmup_s or 0.0),
    )
    policy = trial.found.policy
    return _stating(plan, policy, sustained_rate(trial.found.served, policy, simulated))


def sustained_rate(
    served: ServedRate, policy: Policy, simulated: SimulatedRate | None = None
) -> SustainedRate:
    """Write a served rate down."""
    return SustainedRate(
        decode_tokens_per_s=_exact(served.decode_tokens_per_s),
        requests_per_s=_exact(served.requests_per_s),
        policy=policy.name,
        basis=BLOCKING if policy.chunk_tokens is None else FORMULA,
        simulated=simulated,
    )


def _stating(plan: Plan, policy: Policy, rate: SustainedRate) -> Plan:
    predicted = plan.predicted.model_copy(update={"sustained": rate})
    limits = None
    if policy.chunk_tokens is not None:
        limits = StepLimits(tokens=policy.chunk_tokens, decodes=policy.max_decode_tokens)
    return plan.model_copy(update={"predicted": predicted, "step_limits": limits})


def _exact(value: float) -> Decimal:
    return Decimal(str(round(value, DIGITS)))
