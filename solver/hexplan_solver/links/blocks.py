"""Blocks of a placement: stages between two layers that no stage holds on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan_solver.placement.placement import PlacedStage


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Stages whose layers count from 0; a block is itself alone, so that it is looked up fast."""

    stages: tuple[PlacedStage, ...]

    @property
    def num_layers(self) -> int:
        """Layers that it holds."""
        return max(s.layers[1] for s in self.stages)

    @property
    def starting(self) -> list[PlacedStage]:
        """The stages that hold its first layer from its start on."""
        return [s for s in self.stages if s.layers[0] == 0]

    @property
    def ending(self) -> list[PlacedStage]:
        """The stages that end where it does."""
        end = self.num_layers
        return [s for s in self.stages if s.layers[1] == end]

    def with_stage(self, position: int, taken: PlacedStage) -> Block:
        """Return the block with another host in the place of one stage."""
        stage = self.stages[position]
        own = replace(stage, host=taken.host, devices=taken.devices, kind=taken.kind)
        return Block((*self.stages[:position], own, *self.stages[position + 1 :]))


def blocks_of(stages: Sequence[PlacedStage]) -> list[Block]:
    """Cut a placement at every layer that no stage crosses."""
    blocks: list[list[PlacedStage]] = []
    reach = 0
    for stage in sorted(stages):
        if stage.layers[0] >= reach:
            blocks.append([])
        blocks[-1].append(stage)
        reach = max(reach, stage.layers[1])
    return [Block(moved(block, -block[0].layers[0])) for block in blocks]


def moved(stages: Sequence[PlacedStage], by: int) -> tuple[PlacedStage, ...]:
    """Return stages with their layers moved."""
    return tuple(replace(s, layers=(s.layers[0] + by, s.layers[1] + by)) for s in stages)
