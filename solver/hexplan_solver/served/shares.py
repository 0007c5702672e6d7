"""Shares: how much of the traffic each stage and each edge of a pipeline sees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import PipelineModel

Entries = tuple[tuple[int, float], ...]
"""Layers at which requests enter a stage, each with the share of its visits that do."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of all requests, by position in the pipeline."""

    stages: tuple[float, ...]
    """Share that visits each stage."""
    held_layers: tuple[float, ...]
    """Layers that a mean request runs in each stage: 0 for those that do not visit it."""
    edges: tuple[float, ...]
    """Share that takes each edge."""
    entries: tuple[Entries, ...]
    """Where the visitors of each stage begin in it."""
    streams: tuple[float, ...]
    """Routes that meet at each stage, by their weights: `(sum w)^2 / sum w^2`; 0 without any."""

    @property
    def hops(self) -> float:
        """Stages that a mean request visits."""
        return sum(self.stages)


def shares_of(pipeline: PipelineModel) -> Shares:
    """Add up the routes of a pipeline, and scale its edges to all that enters."""
    whole = sum(route.weight for route in pipeline.routes)
    visits = [0] * len(pipeline.stages)
    held = [0] * len(pipeline.stages)
    squares = [0] * len(pipeline.stages)
    entering_at: list[Counter[int]] = [Counter() for _ in pipeline.stages]
    for route in pipeline.routes:
        at = 0
        for position in route.stages:
            end = pipeline.stages[position].layers[1]
            visits[position] += route.weight
            held[position] += route.weight * (end - at)
            squares[position] += route.weight**2
            entering_at[position][at] += route.weight
            at = end
    entering = sum(edge.weight for edge in pipeline.edges if edge.source == OUTSIDE)
    return Shares(
        tuple(visit / whole for visit in visits),
        tuple(layers / whole for layers in held),
        tuple(edge.weight / entering for edge in pipeline.edges),
        tuple(
            tuple((layer, weight / visit) for layer, weight in sorted(found.items()) if visit)
            for found, visit in zip(entering_at, visits, strict=True)
        ),
        tuple(visit**2 / max(1, square) for visit, square in zip(visits, squares, strict=True)),
    )


def part_that_runs(entries: Entries, layer: int) -> float:
    """Return the part of a stage's visits that runs one of its layers."""
    return sum(part for enter, part in entries if enter <= layer)
