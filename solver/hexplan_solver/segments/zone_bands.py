"""Bands within which zones may differ from segment to segment, so that links carry the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.bounds.work_bound import work_at
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone, zone_capacities
from hexplan_solver.segments.params import SEGMENT_PARAMS, SegmentParams


@dataclass(frozen=True, slots=True)
class ZoneBand:
    """The share of a target that each zone may pass freely: [a - w/2, a + w/2] of formulation 8.

    The *imbalance* of a segment is how far the shares of its zones lie outside, summed over zones.
    """

    zone_of_class: tuple[int, ...]
    """Zone of each rate class."""
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    """Shares of the target, by zone."""
    allowed: float
    """Largest imbalance, summed over all segments, in targets."""

    def imbalance_by_steps(self, num_steps: int) -> NDArray[np.float64]:
        """Return each zone's imbalance by what it supplies: shape (zones, num_steps + 1)."""
        shares = np.arange(num_steps + 1) / num_steps
        below, above = self.lows[:, None] - shares, shares - self.highs[:, None]
        return np.maximum(np.maximum(below, above), 0.0)

    def imbalance(self, supplied: Sequence[float]) -> float:
        """Return the least imbalance of zones that can supply these shares, 1 or more in all."""
        shares, lows, highs = list(supplied), self.lows.tolist(), self.highs.tolist()
        excess = sum(shares) - 1.0
        # The excess is dropped first where a zone is above its band, then where it is within.
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
class ZoneBands:
    """The band of every target.

    Segments whose zones pass nearly the same shares need little exchange. If each zone stays within
    a width and the segments are in order, no more than that width crosses; what lies outside may
    have to cross there and back.
    """

    zone_of: dict[str, int]
    """Zone of each host."""
    shares: NDArray[np.float64]
    """Of the flow, by zone: its part of all the work that the zones can do."""
    widths: NDArray[np.float64]
    """In 1e-6 tokens/s, by zone."""
    allowed: float
    """Largest imbalance, summed over all segments, in 1e-6 tokens/s."""

    @classmethod
    def of(
        cls,
        problem: Problem,
        zones: Sequence[Zone],
        flow: int,
        width_share: float,
        params: SegmentParams = SEGMENT_PARAMS,
    ) -> ZoneBands:
        """Spend one share of what links carry on the widths, and the rest on imbalance.

        Parameters
        ----------
        flow
            About what all zones together pass, in 1e-6 tokens/s.
        width_share
            The share p of docs/formulation.md 8.
        """
        capacity = zone_capacities(problem, zones)
        num_zones = range(len(zones))
        widths = [
            min(
                sum(capacity[i, j] for j in num_zones if i != j),
                sum(capacity[j, i] for j in num_zones if i != j),
            )
            for i in num_zones
        ]
        work = np.array([float(work_at(problem.only(zone.hosts), flow)) for zone in zones])
        total = sum(capacity[pair] for pair in permutations(num_zones, 2))
        return cls(
            {host: i for i, zone in enumerate(zones) for host in zone.hosts},
            work / work.sum(),
            width_share * np.array(widths, dtype=float),
            (1 - width_share) * params.usable_exchange * total,
        )

    def at(self, target: int, zone_of_class: tuple[int, ...]) -> ZoneBand:
        """Return the band for a target in 1e-6 tokens/s."""
        half = self.widths / 2 / target
        lows, highs = self.shares - half, self.shares + half
        return ZoneBand(zone_of_class, np.maximum(lows, 0.0), highs, self.allowed / target)
