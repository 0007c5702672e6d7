"""Promises and mean times: what they rest on, and the run that they come from."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.exact import exact
from hexplan.check.figures.sustained import run_violations
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.steps import steps_of
from hexplan.check.text import number
from hexplan.constants import BALANCED_BASIS, PROMISE_BASIS, QUEUEING_BASIS, RATE_BASIS
from hexplan.predicted import Predicted, RateRun
from hexplan.workload import Slo

PROMISE_WRONG = Rule(
    "HEX719",
    "promise-wrong",
    "An SLO's rate is stated under the objective slo, and only with `workload.slo` and a run at"
    " that rate, in which the promised share of requests kept the SLO; if all did, the mean times"
    " keep it too.",
)


def promise_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield SLO rates without a promise or a run that kept it, and times that rest on nothing."""
    predicted, slo = lookup.plan.predicted, lookup.plan.workload.slo
    if predicted.run is not None:
        yield from run_violations(predicted.run, "prediction, run")
        yield from _attainment(predicted.run, slo)
    rate = predicted.slo_requests_per_s
    if rate is None:
        if lookup.plan.objective == "slo":
            message = "the objective slo needs the rate that keeps the promise"
            yield PROMISE_WRONG.at("prediction, slo_requests_per_s", message)
    elif slo is None:
        message = f"states {number(rate)} requests/s, but the workload has no SLO"
        yield PROMISE_WRONG.at("prediction, slo_requests_per_s", message)
    else:
        yield from _kept(predicted, slo)
    yield from _basis(lookup)


def _attainment(run: RateRun, slo: Slo | None) -> Iterator[Violation]:
    if (run.attainment is None) != (slo is None):
        message = "it states a share of requests that kept the SLO if and only if there is an SLO"
        yield PROMISE_WRONG.at("prediction, run", message)
    elif run.attainment is not None and run.attainment > 1:
        message = f"states that {number(run.attainment)} of the requests kept the SLO"
        yield PROMISE_WRONG.at("prediction, run", message)


def _kept(predicted: Predicted, slo: Slo) -> Iterator[Violation]:
    where, run = "prediction, slo_requests_per_s", predicted.run
    if run is None or run.requests_per_s != predicted.slo_requests_per_s:
        stated = "no run" if run is None else f"a run at {number(run.requests_per_s)} requests/s"
        yield PROMISE_WRONG.at(where, f"states {stated}, needed one at the SLO's rate")
        return
    attained = run.attainment or 0
    if attained < slo.attainment:
        message = (
            f"{number(attained)} of the requests kept the SLO, promised {number(slo.attainment)}"
        )
        yield PROMISE_WRONG.at("prediction, run", message)
    pairs = (
        ("ttft_s", predicted.ttft_s, slo.ttft_s),
        ("tpot_s", predicted.tpot_s, slo.tpot_s),
    )
    for name, mean, most in pairs:
        if attained == 1 and mean is not None and exact(mean) > exact(most):
            message = f"{number(mean)} s in the mean, but every request kept {number(most)} s"
            yield PROMISE_WRONG.at(f"prediction, {name}", message)


LATENCY_UNFOUNDED = Rule(
    "HEX720",
    "latency-unfounded",
    "Mean times name what they rest on: the queueing model with the origins of all step times, or"
    " the run that the plan states; under the objective latency both times are stated.",
)


def _basis(lookup: Lookup) -> Iterator[Violation]:
    predicted, outputs = lookup.plan.predicted, lookup.plan.workload.output_tokens
    times = (predicted.ttft_s, predicted.tpot_s)
    where = "prediction, latency_basis"
    if lookup.plan.objective in ("latency", "slo") and None in times and outputs.max > 1:
        message = f"the objective {lookup.plan.objective} needs both mean times"
        yield LATENCY_UNFOUNDED.at("prediction, ttft_s and tpot_s", message)
    if times == (None, None):
        if predicted.latency_basis is not None or predicted.run is not None:
            yield LATENCY_UNFOUNDED.at(where, "it is the basis of times that are not stated")
        return
    needed = _needed_basis(lookup)
    if needed is not None and predicted.latency_basis != needed:
        message = f"states {predicted.latency_basis}, needed {needed}"
        yield LATENCY_UNFOUNDED.at(where, message)


def _needed_basis(lookup: Lookup) -> str | None:
    """Return what the mean times rest on; None if the plan does not say enough of its stages."""
    run, balance = lookup.plan.predicted.run, lookup.plan.predicted.balance
    if balance is not None:
        return BALANCED_BASIS.format(judged_by=balance.judged_by)
    if run is not None:
        is_asked = lookup.plan.objective == "latency"
        return (RATE_BASIS if is_asked else PROMISE_BASIS).format(requests=run.requests)
    timed = [steps_of(lookup, stage) for stage in lookup.plan.stages]
    origins = {steps.origin for steps in timed if steps is not None}
    if None in timed or not origins:
        return None
    return QUEUEING_BASIS + ", ".join(sorted(origins))
