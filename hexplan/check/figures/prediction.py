"""Prediction and bound: the figures that follow from the certificate's flow."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

from hexplan.check.exact import RATE_STEP, exact, round_down
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number, rate
from hexplan.predicted import Predicted, RateRun

NEED_RATE = ("latency", "cost")
"""Objectives whose flow must carry the workload's request rate."""
DEVIATIONS = 4
"""Standard deviations by which the requests of a run may be fewer than those expected."""
GAP_STEP = RATE_STEP
"""How far the gap may be rounded up."""


PREDICTION_WRONG = Rule(
    "HEX710",
    "prediction-wrong",
    "The prediction is the certificate's flow, and that flow over P + D in requests per second.",
)


def prediction_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a bound, a gap or a prediction that does not follow from the flow."""
    yield from _gap(lookup)
    yield from _rate(lookup)
    predicted = lookup.plan.predicted
    flow = exact(lookup.plan.certificate.flow_tokens_per_s)
    if exact(predicted.tokens_per_s) != flow:
        message = f"states {rate(predicted.tokens_per_s)}, but the flow is {rate(flow)}"
        yield PREDICTION_WRONG.at("prediction, tokens_per_s", message)
    tokens = lookup.plan.workload.mean_tokens
    requests = round_down(flow / tokens)
    if exact(predicted.requests_per_s) != requests:
        message = (
            f"states {number(predicted.requests_per_s)} requests/s,"
            f" but {number(flow)} / {tokens} = {number(requests)}"
        )
        yield PREDICTION_WRONG.at("prediction, requests_per_s", message)


RATE_NOT_CARRIED = Rule(
    "HEX711",
    "rate-not-carried",
    "Under the objectives latency and cost, the flow carries the workload's request rate. Under"
    " latency a run at that rate may show it instead: it finishes as many requests as arrive, but"
    " for those under way at its end, and for chance; and a run is at no other rate.",
)


def _rate(lookup: Lookup) -> Iterator[Violation]:
    plan = lookup.plan
    asked = plan.workload.request_rate_per_s
    if plan.objective not in NEED_RATE:
        return
    needed = lookup.needed_tokens_per_s
    if asked is None or needed is None:
        message = f"the objective {plan.objective} needs the workload's request rate"
        yield RATE_NOT_CARRIED.at("workload, request_rate_per_s", message)
        return
    run = plan.predicted.run
    flow = exact(plan.certificate.flow_tokens_per_s)
    if plan.objective == "latency" and run is not None:
        if abs(exact(run.requests_per_s) - needed / plan.workload.mean_tokens) > RATE_STEP:
            message = f"a run at {number(run.requests_per_s)} requests/s, asked {asked}"
            yield RATE_NOT_CARRIED.at("prediction, run", message)
        least = _least_requests(plan.predicted, run, plan.workload.output_tokens.mean)
        if run.requests < least:
            message = f"finishes {run.requests} requests, at least {least} were to be"
            yield RATE_NOT_CARRIED.at("prediction, run", message)
    elif flow + RATE_STEP < needed:
        message = f"{asked} requests/s need {rate(needed)}, but the flow is {rate(flow)}"
        yield RATE_NOT_CARRIED.at("certificate, flow", message)


def _least_requests(predicted: Predicted, run: RateRun, output_tokens: int) -> int:
    """Return how many requests a run finishes if it keeps up with those that arrive."""
    per_s = exact(run.requests_per_s)
    arrived = per_s * exact(run.duration_s) * len(run.seeds)
    stay_s = exact(predicted.ttft_s or 0) + output_tokens * exact(predicted.tpot_s or 0)
    under_way = per_s * stay_s * len(run.seeds)
    # Both numbers are Poisson, so their variances add up.
    chance = DEVIATIONS * (isqrt(int(arrived + under_way)) + 1)
    return max(0, int(arrived - under_way) - chance)


BOUND_BELOW_FLOW = Rule("HEX708", "bound-below-flow", "The bound is at least the flow.")
GAP_WRONG = Rule(
    "HEX709", "gap-wrong", "The gap is (bound - flow) / flow, rounded up by at most 1e-6."
)


def _gap(lookup: Lookup) -> Iterator[Violation]:
    certificate = lookup.plan.certificate
    flow, bound = exact(certificate.flow_tokens_per_s), exact(certificate.bound_tokens_per_s)
    if bound < flow:
        message = f"bound {rate(bound)} is below the flow {rate(flow)}"
        yield BOUND_BELOW_FLOW.at("certificate, bound", message)
    elif flow:
        stated, gap = exact(certificate.gap), (bound - flow) / flow
        if not gap <= stated <= gap + GAP_STEP:
            message = (
                f"states {number(stated)}, but ({number(bound)} - {number(flow)})"
                f" / {number(flow)} = {number(gap)}, rounded up by at most 1e-6"
            )
            yield GAP_WRONG.at("certificate, gap", message)
