"""Routes: chains of hops that together make up the flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import rate, span
from hexplan.plan import ENTRY, EXIT, Route

ROUTE_OFF_EDGES = Rule("HEX602", "route-off-edges", "Each step of a route is an edge of the plan.")
DUPLICATE_ROUTE = Rule("HEX603", "duplicate-route", "Each chain of stages is listed once.")
ROUTE_IDLE = Rule("HEX607", "route-idle", "Every listed route carries flow.")


def route_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield routes that do not run every layer once, or that use edges the plan lacks."""
    edges = {(edge.source, edge.target) for edge in lookup.plan.edges}
    for index, route in enumerate(lookup.plan.routes):
        yield from _chain(lookup, index, route)
        if not route.tokens_per_s:
            yield ROUTE_IDLE.at(f"route {index}", "carries nothing, and must not be listed")
        for source, target in _steps(route):
            if (source, target) not in edges:
                message = f"the plan has no edge {source}>{target}"
                yield ROUTE_OFF_EDGES.at(f"route {index}", message)
    chains = Counter(tuple(hop.stage for hop in route.hops) for route in lookup.plan.routes)
    for chain, count in chains.items():
        if count > 1:
            yield DUPLICATE_ROUTE.at("routes", f"{' > '.join(chain)} is listed {count} times")


ROUTE_FLOWS_WRONG = Rule(
    "HEX604", "route-flows-wrong", "The routes over an edge sum to exactly the edge's flow."
)


def route_flow_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield edges whose flow is not the sum of the routes over them."""
    carried: dict[tuple[str, str], Fraction] = {}
    for route in lookup.plan.routes:
        for step in _steps(route):
            carried[step] = carried.get(step, Fraction(0)) + exact(route.tokens_per_s)
    for edge in lookup.plan.edges:
        routed = carried.get((edge.source, edge.target), Fraction(0))
        if routed != exact(edge.tokens_per_s):
            where = f"edge {edge.source}>{edge.target}"
            message = f"carries {rate(edge.tokens_per_s)}, but its routes carry {rate(routed)}"
            yield ROUTE_FLOWS_WRONG.at(where, message)


def _steps(route: Route) -> list[tuple[str, str]]:
    return list(pairwise((ENTRY, *(hop.stage for hop in route.hops), EXIT)))


ROUTE_BROKEN = Rule(
    "HEX601",
    "route-broken",
    "A route starts at layer 0, enters each stage inside its range where the last one ended, and"
    " ends at L.",
)


def _chain(lookup: Lookup, index: int, route: Route) -> Iterator[Violation]:
    where, reached = f"route {index}", 0
    # If every hop is inside its stage, ends rise from hop to hop, so no stage comes twice.
    for hop in route.hops:
        first, end = lookup.stages[hop.stage].layers
        if hop.enter_layer != reached:
            message = f"enters {hop.stage} at layer {hop.enter_layer}, must enter at {reached}"
            yield ROUTE_BROKEN.at(where, message)
        elif not first <= reached < end:
            message = f"enters {hop.stage} at layer {reached}, which holds {span((first, end))}"
            yield ROUTE_BROKEN.at(where, message)
        reached = end
    if reached != lookup.plan.model.layers:
        message = f"ends at layer {reached}, must end at {lookup.plan.model.layers}"
        yield ROUTE_BROKEN.at(where, message)
