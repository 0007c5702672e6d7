"""Weights: shares of the flow, rounded so that they sum to exactly 1."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import WEIGHT_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number
from hexplan.plan import Edge, Route

EDGE_WEIGHT_WRONG = Rule(
    "HEX512", "edge-weight-wrong", "An edge's weight is its share of what leaves its source."
)
EDGE_WEIGHTS_SUM = Rule(
    "HEX513", "edge-weights-sum", "The weights of the edges that leave one source sum to exactly 1."
)
ROUTE_WEIGHT_WRONG = Rule(
    "HEX605", "route-weight-wrong", "A route's weight is its share of the whole flow."
)
ROUTE_WEIGHTS_SUM = Rule(
    "HEX606", "route-weights-sum", "The weights of the routes sum to exactly 1."
)


def share_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield weights that are not shares of the flow, or do not sum to 1."""
    leaving: dict[str, list[tuple[str, Edge]]] = {}
    for edge in lookup.plan.edges:
        named = f"edge {edge.source}>{edge.target}", edge
        leaving.setdefault(edge.source, []).append(named)
    for source, edges in leaving.items():
        where = f"edges from {source}"
        yield from _shares(edges, where, EDGE_WEIGHT_WRONG, EDGE_WEIGHTS_SUM)
    routes = [(f"route {index}", route) for index, route in enumerate(lookup.plan.routes)]
    yield from _shares(routes, "routes", ROUTE_WEIGHT_WRONG, ROUTE_WEIGHTS_SUM)


def _shares(
    parts: list[tuple[str, Edge]] | list[tuple[str, Route]], where: str, wrong: Rule, sums: Rule
) -> Iterator[Violation]:
    total = sum((exact(part.tokens_per_s) for _, part in parts), Fraction(0))
    weights = sum((exact(part.weight) for _, part in parts), Fraction(0))
    if not total:
        # Without flow there are no shares, and HEX514 reports it.
        return
    if weights != 1:
        message = f"weights sum to {number(weights)}, must sum to exactly 1"
        yield sums.at(where, message)
    for place, part in parts:
        share = exact(part.tokens_per_s) / total
        if abs(exact(part.weight) - share) > WEIGHT_STEP:
            message = (
                f"weight {number(part.weight)}, but its share is"
                f" {number(part.tokens_per_s)} / {number(total)}"
                f" = {number(share)}"
            )
            yield wrong.at(place, message)
