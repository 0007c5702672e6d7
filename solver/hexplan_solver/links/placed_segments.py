"""Placed segments: the parts of a placement between layers that no stage crosses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan_solver.placement.placement import PlacedStage


@dataclass(frozen=True, slots=True, eq=False)
class PlacedSegment:
    """The stages of a segment; their layers count from its own first one.

    Two are equal only if they are the same object, which makes them quick to look up.
    """

    stages: tuple[PlacedStage, ...]

    @property
    def num_layers(self) -> int:
        """Layers that it holds."""
        return max(s.layers[1] for s in self.stages)

    @property
    def starting(self) -> list[PlacedStage]:
        """The stages that begin at its first layer."""
        return [s for s in self.stages if s.layers[0] == 0]

    @property
    def ending(self) -> list[PlacedStage]:
        """The stages that end at its end."""
        end = self.num_layers
        return [s for s in self.stages if s.layers[1] == end]

    def with_stage(self, position: int, taken: PlacedStage) -> PlacedSegment:
        """Return the segment with one of its stages on the host and devices of another stage."""
        stage = self.stages[position]
        own = replace(stage, host=taken.host, devices=taken.devices, kind=taken.kind)
        return PlacedSegment((*self.stages[:position], own, *self.stages[position + 1 :]))


def placed_segments(stages: Sequence[PlacedStage]) -> list[PlacedSegment]:
    """Cut a placement at every layer that no stage crosses."""
    parts: list[list[PlacedStage]] = []
    reach = 0
    for stage in sorted(stages):
        if stage.layers[0] >= reach:
            parts.append([])
        parts[-1].append(stage)
        reach = max(reach, stage.layers[1])
    return [PlacedSegment(moved(part, -part[0].layers[0])) for part in parts]


def moved(stages: Sequence[PlacedStage], by: int) -> tuple[PlacedStage, ...]:
    """Return stages with their layers moved by a number of layers."""
    return tuple(replace(s, layers=(s.layers[0] + by, s.layers[1] + by)) for s in stages)
