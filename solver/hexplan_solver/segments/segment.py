"""Segments: lanes over the same layers whose rates sum to a target."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

Ends = tuple[bool, bool]
"""Whether a segment holds the first and the last layer."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Stages of one rate class, one after the other, over all layers of a segment."""

    rate_class: int
    num_stages: int
    count: int = 1
    """How many such lanes lie side by side."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Lanes of any rate classes over the same k layers."""

    ends: Ends
    num_layers: int
    lanes: tuple[Lane, ...]

    @property
    def stage_counts(self) -> tuple[tuple[int, int], ...]:
        """(rate class, number of stages) pairs."""
        total: Counter[int] = Counter()
        for lane in self.lanes:
            total[lane.rate_class] += lane.num_stages * lane.count
        return tuple(total.items())

    @property
    def num_stages(self) -> int:
        """Stages of all lanes."""
        return sum(lane.num_stages * lane.count for lane in self.lanes)
