"""Where edges lead and where requests enter stages, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.pipeline_model import PipelineModel


@dataclass(frozen=True, slots=True)
class Topology:
    """Where edges lead, and where requests enter stages."""

    entries: tuple[tuple[int, ...], ...]
    """Per stage: the layers at which requests enter it, its first one among them."""
    targets: tuple[tuple[int, int], ...]
    """Per edge: the stage that it leads to, and which of the stage's entries."""
    leaving: tuple[tuple[int, ...], ...]
    """Per stage: the edges that leave it."""

    @classmethod
    def of(cls, pipeline: PipelineModel) -> Topology:
        """Work out the topology of a pipeline."""
        stages = range(len(pipeline.stages))
        entries = tuple(_entries(pipeline, stage) for stage in stages)
        return cls(
            entries,
            tuple(_target(pipeline, entries, edge) for edge in range(len(pipeline.edges))),
            tuple(
                tuple(n for n, edge in enumerate(pipeline.edges) if edge.source == stage)
                for stage in stages
            ),
        )


def _entries(pipeline: PipelineModel, stage: int) -> tuple[int, ...]:
    enters = {_enter_layer(pipeline, n) for n, e in enumerate(pipeline.edges) if e.target == stage}
    return tuple(sorted(enters | {pipeline.stages[stage].layers[0]}))


def _enter_layer(pipeline: PipelineModel, edge: int) -> int:
    source = pipeline.edges[edge].source
    return 0 if source == OUTSIDE else pipeline.stages[source].layers[1]


def _target(
    pipeline: PipelineModel, entries: tuple[tuple[int, ...], ...], edge: int
) -> tuple[int, int]:
    target = pipeline.edges[edge].target
    if target == OUTSIDE:
        return OUTSIDE, 0
    return target, entries[target].index(_enter_layer(pipeline, edge))
