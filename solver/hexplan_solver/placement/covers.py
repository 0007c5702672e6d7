"""Covers: stages over the same layers whose speeds sum to a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.problem.problem import Problem

Ends = tuple[bool, bool]
"""Whether a segment holds the first and the last layer."""


@dataclass(frozen=True, slots=True)
class Lane:
    """So many stages of one speed, one after the other, over all layers of a segment."""

    speed: int
    num_stages: int
    count: int = 1
    """How many such lanes lie side by side."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Lanes of any speeds over the same k layers."""

    ends: Ends
    num_layers: int
    lanes: tuple[Lane, ...]

    @property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """(speed, number of stages) pairs."""
        total: Counter[int] = Counter()
        for lane in self.lanes:
            total[lane.speed] += lane.num_stages * lane.count
        return tuple(total.items())


@dataclass(frozen=True, slots=True)
class Speeds:
    """Kinds of equal rates, taken together: covers need not tell them apart."""

    kinds: tuple[tuple[int, ...], ...]
    """For each speed, the kinds that have it."""
    of_kind: tuple[int, ...]
    """For each kind, its speed."""

    @classmethod
    def of(cls, problem: Problem, zone_of: Mapping[str, int] | None = None) -> Speeds:
        """Group the kinds of a problem by their rates, and by zones where hosts have them."""
        by_rates: dict[object, list[int]] = {}
        for kind in problem.kinds:
            zone = problem.zone_of(kind.index, zone_of or {})
            by_rates.setdefault((kind.rates, zone), []).append(kind.index)
        groups = tuple(tuple(kinds) for kinds in by_rates.values())
        of_kind = {kind: speed for speed, kinds in enumerate(groups) for kind in kinds}
        return cls(groups, tuple(of_kind[kind.index] for kind in problem.kinds))


@dataclass(frozen=True, slots=True)
class Supply:
    """What hosts can form, as the part that every relaxation has: one column for each way.

    Rows: one for each speed (groups formed, negative), then one for each set of hosts that form the
    same speeds, wherever they stand.
    """

    matrix: NDArray[np.float64]
    limits: NDArray[np.float64]
    """Of each row: 0 for a speed, the number of hosts for a set of hosts."""

    @classmethod
    def of(cls, problem: Problem, speeds: Speeds) -> Supply:
        """List the groups that one host of each set forms in each way."""
        alike: Counter[tuple[tuple[tuple[int, int], ...], ...]] = Counter()
        for host_class in problem.classes:
            ways = (((speeds.of_kind[k], n) for k, n in way) for way in host_class.partitions)
            alike[tuple(tuple(way) for way in ways)] += len(host_class.hosts)
        num_speeds, num_ways = len(speeds.kinds), sum(map(len, alike))
        matrix = np.zeros((num_speeds + len(alike), num_ways))
        column = 0
        for row, ways_of_host in enumerate(alike, num_speeds):
            for way in ways_of_host:
                for speed, count in way:
                    matrix[speed, column] -= count
                matrix[row, column] = 1
                column += 1
        return cls(matrix, np.array([0.0] * num_speeds + [float(n) for n in alike.values()]))
