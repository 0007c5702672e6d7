"""What zones may differ in from segment to segment, so that links carry what crosses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.bounds.bounds import work_at
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone, carried_between

USABLE = 0.8
"""Share of what all links between zones carry that a placement can hope to use."""


@dataclass(frozen=True, slots=True)
class Border:
    """Which share of a target each zone may pass freely, and how much may lie outside of that."""

    zone_of_speed: tuple[int, ...]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    """Shares of the target, by zone."""
    budget: float
    """What may lie outside, summed over the segments and zones, in targets."""

    def outside(self, grid: int) -> NDArray[np.float64]:
        """Return what lies outside when a zone supplies so many steps: (zones, grid + 1)."""
        shares = np.arange(grid + 1) / grid
        below, above = self.lows[:, None] - shares, shares - self.highs[:, None]
        return np.maximum(np.maximum(below, above), 0.0)

    def outside_of(self, supplied: Sequence[float]) -> float:
        """Return what lies outside at least, of shares that zones can supply, 1 or more in all."""
        shares, lows, highs = list(supplied), self.lows.tolist(), self.highs.tolist()
        excess = sum(shares) - 1.0
        # What is too much is left out where it lies outside, then where that does no harm.
        for floors in (highs, lows):
            for zone in sorted(range(len(shares)), key=lambda i: floors[i] - shares[i]):
                cut = min(excess, shares[zone] - floors[zone])
                if cut > 0:
                    shares[zone] -= cut
                    excess -= cut
        return math.fsum(
            max(low - share, share - high, 0.0)
            for share, low, high in zip(shares, lows, highs, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Borders:
    """The border of each target.

    Segments whose zones pass nearly the same shares need little to cross between them. Where each
    zone stays within a width, and the segments are in order, no more than that width crosses; what
    lies outside may have to cross there and back.
    """

    zone_of: dict[str, int]
    shares: NDArray[np.float64]
    """Of the flow, by zone: what each can do of all the work."""
    widths: NDArray[np.float64]
    """In 1e-6 tokens/s, by zone."""
    budget: float

    @classmethod
    def of(cls, problem: Problem, zones: Sequence[Zone], flow: int, part: float) -> Borders:
        """Spend one part of what links carry on the widths, and the rest on what lies outside.

        Parameters
        ----------
        flow
            About what all zones together pass, in 1e-6 tokens/s.
        """
        carried = carried_between(problem, zones)
        num_zones = range(len(zones))
        widths = [
            min(
                sum(carried[i, j] for j in num_zones if i != j),
                sum(carried[j, i] for j in num_zones if i != j),
            )
            for i in num_zones
        ]
        work = np.array([float(work_at(problem.only(zone.hosts), flow)) for zone in zones])
        total = sum(carried[pair] for pair in permutations(num_zones, 2))
        return cls(
            {host: i for i, zone in enumerate(zones) for host in zone.hosts},
            work / work.sum(),
            part * np.array(widths, dtype=float),
            (1 - part) * USABLE * total,
        )

    def at(self, target: int, zone_of_speed: tuple[int, ...]) -> Border:
        """Return the border for a target in 1e-6 tokens/s."""
        half = self.widths / 2 / target
        lows, highs = self.shares - half, self.shares + half
        return Border(zone_of_speed, np.maximum(lows, 0.0), highs, self.budget / target)
