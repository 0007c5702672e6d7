"""Shares: how much of the traffic each stage and each edge of a pipeline sees."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import PipelineModel


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of all requests, by position in the pipeline."""

    stages: tuple[float, ...]
    """Share that visits each stage."""
    held_layers: tuple[float, ...]
    """Layers that a mean request runs in each stage: 0 for those that do not visit it."""
    edges: tuple[float, ...]
    """Share that takes each edge."""

    @property
    def hops(self) -> float:
        """Stages that a mean request visits."""
        return sum(self.stages)


def shares_of(pipeline: PipelineModel) -> Shares:
    """Add up the routes of a pipeline, and scale its edges to all that enters."""
    whole = sum(route.weight for route in pipeline.routes)
    visits = [0] * len(pipeline.stages)
    held = [0] * len(pipeline.stages)
    for route in pipeline.routes:
        at = 0
        for position in route.stages:
            end = pipeline.stages[position].layers[1]
            visits[position] += route.weight
            held[position] += route.weight * (end - at)
            at = end
    entering = sum(edge.weight for edge in pipeline.edges if edge.source == OUTSIDE)
    return Shares(
        tuple(visit / whole for visit in visits),
        tuple(layers / whole for layers in held),
        tuple(edge.weight / entering for edge in pipeline.edges),
    )
