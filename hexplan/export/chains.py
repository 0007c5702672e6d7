"""Chains of stages along a plan's edges, each with what it carries on its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from hexplan.plan import ENTRY, EXIT, Edge, Hop, Plan

MOST_CHAINS = 4096
"""More chains than this are not looked at; the plan's own routes always are."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages that run every layer once, one after the other."""

    hops: tuple[Hop, ...]
    """As in a route."""
    edges: tuple[Edge, ...]
    """From entry to exit."""
    most_tokens_per_s: Fraction
    """What its stages and edges pass if no other chain uses them."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Ids of its stages."""
        return tuple(hop.stage for hop in self.hops)


def chains_of(plan: Plan) -> tuple[Chain, ...]:
    """Return the plan's routes, then other chains along its edges, each once."""
    edge_of = {(edge.source, edge.target): edge for edge in plan.edges}
    found: dict[tuple[str, ...], Chain] = {}
    for route in plan.routes:
        ends = (ENTRY, *(hop.stage for hop in route.hops), EXIT)
        edges = tuple(edge_of[pair] for pair in zip(ends, ends[1:], strict=False))
        chain = _chain(plan, edges)
        found[chain.stages] = chain
    for edges in islice(_walks(plan), MOST_CHAINS):
        chain = _chain(plan, edges)
        found.setdefault(chain.stages, chain)
    return tuple(found.values())


def _walks(plan: Plan) -> Iterator[tuple[Edge, ...]]:
    """Yield every way from entry to exit; ends rise along edges, so none comes back."""
    leaving: dict[str, list[Edge]] = {}
    for edge in plan.edges:
        leaving.setdefault(edge.source, []).append(edge)
    waiting: list[tuple[Edge, ...]] = [(edge,) for edge in reversed(leaving.get(ENTRY, []))]
    while waiting:
        walk = waiting.pop()
        if walk[-1].target == EXIT:
            yield walk
        else:
            further = leaving.get(walk[-1].target, [])
            waiting.extend((*walk, edge) for edge in reversed(further))


def _chain(plan: Plan, edges: tuple[Edge, ...]) -> Chain:
    capacity = {stage.id: stage.capacity_tokens_per_s for stage in plan.stages}
    hops = tuple(Hop(stage=e.target, enter_layer=e.enter_layer) for e in edges[:-1])
    most = min(
        *(edge.capacity_tokens_per_s for edge in edges), *(capacity[hop.stage] for hop in hops)
    )
    return Chain(hops, edges, Fraction(most))
