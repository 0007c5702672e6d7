"""Covers: stages over the same layers whose speeds sum to a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.problem import Problem

MAX_COPIES = 10
"""More stages of one speed than this in one segment are not tried."""

Ends = tuple[bool, bool]
"""Whether a segment holds the first and the last layer."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Stages of one or two speeds over the same k layers."""

    ends: Ends
    num_layers: int
    counts: tuple[tuple[int, int], ...]
    """(speed, number of stages) pairs."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """Kinds of equal rates, taken together: covers need not tell them apart."""

    kinds: tuple[tuple[int, ...], ...]
    """For each speed, the kinds that have it."""
    of_kind: tuple[int, ...]
    """For each kind, its speed."""

    @classmethod
    def of(cls, problem: Problem) -> Speeds:
        """Group the kinds of a problem by their rates."""
        by_rates: dict[object, list[int]] = {}
        for kind in problem.kinds:
            by_rates.setdefault(kind.rates, []).append(kind.index)
        groups = tuple(tuple(kinds) for kinds in by_rates.values())
        of_kind = {kind: speed for speed, kinds in enumerate(groups) for kind in kinds}
        return cls(groups, tuple(of_kind[kind.index] for kind in problem.kinds))


@dataclass(frozen=True, slots=True)
class Supply:
    """What hosts can form, as the part that every relaxation has: one column for each way.

    Rows: one for each speed (groups formed, negative), then one for each class (hosts).
    """

    matrix: NDArray[np.float64]
    limits: NDArray[np.float64]
    """Of each row: 0 for a speed, the number of hosts for a class."""

    @classmethod
    def of(cls, problem: Problem, speeds: Speeds) -> Supply:
        """List the groups that one host of each class forms in each way."""
        ways = [(c, way) for c, hosts in enumerate(problem.classes) for way in hosts.partitions]
        num_speeds = len(speeds.kinds)
        matrix = np.zeros((num_speeds + len(problem.classes), len(ways)))
        for column, (host_class, way) in enumerate(ways):
            for kind, count in way:
                matrix[speeds.of_kind[kind], column] -= count
            matrix[num_speeds + host_class, column] = 1
        hosts = [float(len(c.hosts)) for c in problem.classes]
        return cls(matrix, np.array([0.0] * num_speeds + hosts))


@dataclass(frozen=True, slots=True)
class Covers:
    """Every minimal cover of at most two speeds for one target, as arrays of one length."""

    ends: NDArray[np.int64]
    num_layers: NDArray[np.int64]
    speeds: NDArray[np.int64]
    """Shape (n, 2)."""
    copies: NDArray[np.int64]
    """Shape (n, 2)."""

    def segment(self, i: int) -> Segment:
        """Return the cover at one position as a segment."""
        ends = (bool(self.ends[i] & 1), bool(self.ends[i] & 2))
        pairs = zip(self.speeds[i].tolist(), self.copies[i].tolist(), strict=True)
        return Segment(ends, int(self.num_layers[i]), tuple((s, n) for s, n in pairs if n))


def list_covers(problem: Problem, speeds: Speeds, target: int) -> Covers:
    """List minimal covers: n of one speed, and of the other as many as are then still needed."""
    found: list[tuple[NDArray[np.int64], ...]] = []
    rates = [problem.kinds[kinds[0]].rates.by_layers for kinds in speeds.kinds]
    for ends in range(4):
        table = np.array([r[bool(ends & 1)][bool(ends & 2)] for r in rates], dtype=np.int64)
        for first in range(len(table)):
            for copies in range(1, MAX_COPIES + 1):
                found += _pairs(table, (ends, first, copies), target)
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return Covers(empty, empty, empty.reshape(0, 2), empty.reshape(0, 2))
    stacked = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.lexsort((stacked[1], stacked[0]))
    return Covers(*(part[order] for part in stacked))


def _pairs(
    table: NDArray[np.int64], choice: tuple[int, int, int], target: int
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield covers with `copies` of `first`, completed by each other speed where needed."""
    ends, first, copies = choice
    speed = table[first]
    has = speed > 0
    alone = has & (speed * copies >= target) & (speed * (copies - 1) < target)
    layers = np.flatnonzero(alone)
    if layers.size:
        yield _rows(ends, layers, (first, first), copies, np.zeros_like(layers))
    missing = target - speed * copies
    for other in range(len(table)):
        if other == first:
            continue
        rest = table[other]
        layers = np.flatnonzero(has & (missing > 0) & (rest > 0))
        if not layers.size:
            continue
        needed = -(-missing[layers] // rest[layers])
        layers, needed = layers[needed <= MAX_COPIES], needed[needed <= MAX_COPIES]
        if layers.size:
            yield _rows(ends, layers, (first, other), copies, needed)


def _rows(
    ends: int,
    layers: NDArray[np.int64],
    pair: tuple[int, int],
    copies: int,
    needed: NDArray[np.int64],
) -> tuple[NDArray[np.int64], ...]:
    size = layers.size
    return (
        np.full(size, ends),
        layers,
        np.tile(np.array(pair), (size, 1)),
        np.stack([np.full(size, copies), needed], axis=1),
    )
