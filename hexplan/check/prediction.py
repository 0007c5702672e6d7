"""Prediction and bound: figures that follow from the certificate's flow."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.lookup import Lookup
from hexplan.check.rules import BOUND_BELOW_FLOW, GAP_WRONG, PREDICTION_WRONG, Violation
from hexplan.check.text import RATE_STEP, exact, number, rate, round_down

GAP_STEP = RATE_STEP
"""How far the gap may be rounded up."""


def prediction_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a bound, a gap or a prediction that does not follow from the flow."""
    yield from _gap(lookup)
    predicted = lookup.plan.predicted
    flow = exact(lookup.plan.certificate.flow_tokens_per_s)
    if exact(predicted.tokens_per_s) != flow:
        message = f"states {rate(predicted.tokens_per_s)}, the flow is {rate(flow)}"
        yield PREDICTION_WRONG.at("prediction, tokens_per_s", message)
    tokens = lookup.plan.workload.mean_tokens
    requests = round_down(flow / tokens)
    if exact(predicted.requests_per_s) != requests:
        message = (
            f"states {number(predicted.requests_per_s)} requests/s,"
            f" but {number(flow)} / {tokens} = {number(requests)}"
        )
        yield PREDICTION_WRONG.at("prediction, requests_per_s", message)


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
