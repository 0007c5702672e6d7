"""Prediction and bound: the figures that follow from the certificate's flow."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from hexplan.check.exact import RATE_STEP, exact, round_down
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number, rate

NEED_RATE = ("latency", "cost")
"""Objectives whose flow must carry the workload's request rate."""
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
    "Under the objectives latency and cost, the flow carries the workload's request rate.",
)


def _rate(lookup: Lookup) -> Iterator[Violation]:
    plan = lookup.plan
    asked = plan.workload.request_rate_per_s
    if plan.objective not in NEED_RATE:
        return
    if asked is None:
        message = f"the objective {plan.objective} needs the workload's request rate"
        yield RATE_NOT_CARRIED.at("workload, request_rate_per_s", message)
        return
    needed = Fraction(Decimal(repr(asked))) * plan.workload.mean_tokens
    flow = exact(plan.certificate.flow_tokens_per_s)
    if flow + RATE_STEP < needed:
        message = f"{asked} requests/s need {rate(needed)}, but the flow is {rate(flow)}"
        yield RATE_NOT_CARRIED.at("certificate, flow", message)


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
