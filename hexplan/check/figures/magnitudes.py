"""Numbers that are too large or too long, and rates and weights off the grid."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pydantic import BaseModel

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.constants import RATE_DIGITS, WEIGHT_DIGITS
from hexplan.plan import Plan

MAX_DIGITS = 24
"""Digits before the decimal point: units allow at most 1e21, and sums over a plan add a few."""
LIMIT: int = 10**MAX_DIGITS
MAX_DECIMALS = 40
"""Decimals: far more than any file of hexplan has, few enough for quick exact arithmetic."""


def magnitude_violations(plan: Plan) -> Iterator[Violation]:
    """Yield numbers that would make exact arithmetic take for ever, such as 1E+999999999."""
    yield from _walk(plan, "plan")


NUMBER_BEYOND_REASON = Rule(
    "HEX101",
    "number-beyond-reason",
    "Every number is below 1e24 and has at most 40 decimals; otherwise nothing else is judged.",
)


def _walk(value: object, where: str) -> Iterator[Violation]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _walk(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _walk(item, f"{where}[{index}]")
    elif isinstance(value, int | Decimal) and not _is_reasonable(value):
        message = f"must be below 1e{MAX_DIGITS} with at most {MAX_DECIMALS} decimals"
        yield NUMBER_BEYOND_REASON.at(where, message)


def _is_reasonable(value: int | Decimal) -> bool:
    if isinstance(value, int):
        return abs(value) < LIMIT
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return False
    return exponent >= -MAX_DECIMALS and value.adjusted() < MAX_DIGITS


OFF_GRID = Rule(
    "HEX404", "off-grid", "Rates are whole numbers of 1e-6 tokens/s, and weights of 1e-9."
)


def grid_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield rates and weights that are no multiple of their step, so that sums are not exact."""
    for where, value, digits in _gridded(lookup.plan):
        if (exact(value) * 10**digits).denominator != 1:
            yield OFF_GRID.at(where, f"{value} must be a multiple of 1e-{digits}")


def _gridded(plan: Plan) -> Iterator[tuple[str, Decimal, int]]:
    for stage in plan.stages:
        yield f"stage {stage.id}, capacity", stage.capacity_tokens_per_s, RATE_DIGITS
        yield f"stage {stage.id}, load", stage.load_tokens_per_s, RATE_DIGITS
    for edge in plan.edges:
        where = f"edge {edge.source}>{edge.target}"
        yield f"{where}, capacity", edge.capacity_tokens_per_s, RATE_DIGITS
        yield f"{where}, flow", edge.tokens_per_s, RATE_DIGITS
        yield f"{where}, weight", edge.weight, WEIGHT_DIGITS
    for index, route in enumerate(plan.routes):
        yield f"route {index}, flow", route.tokens_per_s, RATE_DIGITS
        yield f"route {index}, weight", route.weight, WEIGHT_DIGITS
    for index, handover in enumerate(plan.handovers):
        yield f"handover {index}, weight", handover.weight, WEIGHT_DIGITS
    certificate, predicted = plan.certificate, plan.predicted
    yield "certificate, flow", certificate.flow_tokens_per_s, RATE_DIGITS
    yield "certificate, bound", certificate.bound_tokens_per_s, RATE_DIGITS
    yield "prediction, tokens_per_s", predicted.tokens_per_s, RATE_DIGITS
    yield "prediction, requests_per_s", predicted.requests_per_s, RATE_DIGITS
