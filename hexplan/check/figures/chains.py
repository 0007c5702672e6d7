"""The least cost of a chain of stages from entry to exit, over the edges that a plan uses."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from hexplan.check.lookup import Lookup
from hexplan.plan import ENTRY, EXIT, Edge, Stage


def least_over_edges(
    lookup: Lookup,
    edge_cost: Callable[[Edge], Fraction],
    stage_cost: Callable[[Stage, int], Fraction],
) -> Fraction | None:
    """Return the least sum of costs along a chain; None if no chain reaches the exit.

    Parameters
    ----------
    stage_cost
        The cost of a stage for a request that runs so many of its layers.
    """
    into: dict[str, list[Edge]] = {}
    for edge in lookup.plan.edges:
        into.setdefault(edge.target, []).append(edge)
    reached = {ENTRY: Fraction(0)}
    # An edge leads to a stage that ends later.
    stages = sorted(lookup.plan.stages, key=lambda stage: stage.layers[1])
    for stage in stages:
        ways = [
            reached[edge.source]
            + edge_cost(edge)
            + stage_cost(stage, stage.layers[1] - edge.enter_layer)
            for edge in into.get(stage.id, ())
            if edge.source in reached
        ]
        if ways:
            reached[stage.id] = min(ways)
    ends = [e for e in into.get(EXIT, ()) if e.source in reached]
    return min((reached[edge.source] + edge_cost(edge) for edge in ends), default=None)
