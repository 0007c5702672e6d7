"""The least cost of a chain of stages from entry to exit, over the steps that a plan uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hexplan.check.lookup import Lookup
from hexplan.plan import ENTRY, EXIT, Hop, Phase, Stage


@dataclass(frozen=True, slots=True)
class Step:
    """What leads a request from a stage (or entry) to a stage (or exit)."""

    source: str
    target: str
    enter_layer: int
    """The layer that it needs next."""


def steps_taken(lookup: Lookup, phase: Phase) -> list[Step]:
    """Return the steps of requests in a phase: the plan's edges, or those of its handovers."""
    if not lookup.plan.handovers:
        return [Step(e.source, e.target, e.enter_layer) for e in lookup.plan.edges]
    chains = chains_taken(lookup, phase)
    return list(dict.fromkeys(step for hops in chains for step in _steps(lookup, hops)))


def chains_taken(lookup: Lookup, phase: Phase) -> list[tuple[Hop, ...]]:
    """Return the routes of requests in a phase."""
    handovers = lookup.plan.handovers
    if not handovers:
        return [route.hops for route in lookup.plan.routes]
    return [one.prefill if phase == "prefill" else one.decode for one in handovers]


def _steps(lookup: Lookup, hops: Sequence[Hop]) -> list[Step]:
    names = [hop.stage for hop in hops]
    sources, targets = (ENTRY, *names), (*names, EXIT)
    enters = (*(hop.enter_layer for hop in hops), lookup.plan.model.layers)
    return [Step(*ends) for ends in zip(sources, targets, enters, strict=True)]


def least_over_steps(
    lookup: Lookup,
    steps: Iterable[Step],
    edge_cost: Callable[[Step], Fraction],
    stage_cost: Callable[[Stage, int], Fraction],
) -> Fraction | None:
    """Return the least sum of costs along a chain; None if no chain reaches the exit.

    Parameters
    ----------
    stage_cost
        The cost of a stage for a request that runs so many of its layers.
    """
    into: dict[str, list[Step]] = {}
    for edge in steps:
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
