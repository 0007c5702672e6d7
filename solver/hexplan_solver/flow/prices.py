"""The duals of an LP as the prices of a cut (docs/formulation.md 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.network import Network, stage_name

NO_PRICE = 1e-14
"""LP duals below this are rounding errors."""
PRICE_DIGITS = Context(prec=14, rounding=ROUND_CEILING)
"""Of the decimals in a plan. Prices are rounded up, as routes must pay at least 1."""
RAISED = 1 + 1e-12
"""Prices are multiplied by this, more than a float loses, so that routes pay at least 1."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A capacity, and the flow that one more unit of it would bring by the LP."""

    name: str
    price: float
    capacity: Decimal


def priced_stages(network: Network, prices: Sequence[float]) -> list[Priced]:
    """Return the stages with their prices."""
    return [
        Priced(f"stage:{stage_name(i)}", price, Decimal(stage.rate) / MICRO)
        for i, (stage, price) in enumerate(zip(network.stages, prices, strict=True))
    ]


def price_terms(
    priced: Sequence[Priced], cheapest_route: Callable[[Mapping[str, float]], float]
) -> tuple[CutTerm, ...]:
    """Turn LP duals into prices under which the cheapest route pays at least 1."""
    by_name = {p.name: p.price if p.price > NO_PRICE else 0.0 for p in priced}
    cheapest = cheapest_route(by_name)
    return tuple(
        CutTerm(
            constraint=p.name,
            price=PRICE_DIGITS.create_decimal(Decimal(by_name[p.name] / cheapest * RAISED)),
            capacity=p.capacity,
        )
        for p in priced
        if by_name[p.name]
    )
