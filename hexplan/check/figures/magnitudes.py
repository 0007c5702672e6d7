"""Numbers that are too large to reason about, and numbers off the grid."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pydantic import BaseModel

from hexplan.check.lookup import Lookup
from hexplan.check.rules import NUMBER_BEYOND_REASON, OFF_GRID, Violation
from hexplan.check.text import exact
from hexplan.constants import RATE_DIGITS, WEIGHT_DIGITS
from hexplan.plan import Plan

MAX_DIGITS = 24
LIMIT: int = 10**MAX_DIGITS
MAX_DECIMALS = 40


def magnitude_violations(plan: Plan) -> Iterator[Violation]:
    """Yield the numbers that would make exact arithmetic endless, such as 1E+999999999."""
    yield from _walk(plan, "plan")


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


def grid_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield rates and weights between whole steps, whose sums could not be exact."""
    for where, value, digits in _gridded(lookup.plan):
        if (exact(value) * 10**digits).denominator != 1:
            yield OFF_GRID.at(where, f"{value} must be a whole number of 1e-{digits}")


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
    certificate, predicted = plan.certificate, plan.predicted
    yield "certificate, flow", certificate.flow_tokens_per_s, RATE_DIGITS
    yield "certificate, bound", certificate.bound_tokens_per_s, RATE_DIGITS
    yield "prediction, tokens_per_s", predicted.tokens_per_s, RATE_DIGITS
    yield "prediction, requests_per_s", predicted.requests_per_s, RATE_DIGITS
