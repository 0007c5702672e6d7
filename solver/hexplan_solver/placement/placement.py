"""The placement: which devices form a stage, and which layers each stage holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from hexplan.field_types import Range


@dataclass(frozen=True, slots=True, order=True)
class PlacedStage:
    """A stage on named devices of a named host; stages sort by their layers."""

    layers: Range
    host: str
    devices: tuple[int, ...]
    kind: int
    """Position in `Problem.kinds`."""
    rate: int
    """In 1e-6 tokens/s."""
    replica: int = -1
    """Number of its replica, for engines that run whole replicas alone; else -1."""


@dataclass(frozen=True, slots=True)
class Placement(Sequence[PlacedStage]):
    """Stages in any order, no two of which share a device; empty if no placement was found."""

    stages: tuple[PlacedStage, ...] = ()

    @staticmethod
    def of(stages: Iterable[PlacedStage]) -> Placement:
        """Return the placement of some stages."""
        return Placement(tuple(stages))

    @overload
    def __getitem__(self, position: int) -> PlacedStage: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[PlacedStage, ...]: ...

    def __getitem__(self, position: int | slice) -> PlacedStage | tuple[PlacedStage, ...]:
        return self.stages[position]

    def __len__(self) -> int:
        return len(self.stages)
