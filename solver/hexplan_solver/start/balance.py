"""Balancing: one group after another goes where the layers lack most.

Every layer l has a need `exp(-c_l / tau)` that falls with its coverage c. A stage of speed T over a
window takes away the share `1 - exp(-T / tau)` of the needs in it, so its best window follows from
prefix sums, exactly. Taking stages out and putting them back while tau shrinks ends in placements
whose least covered layer lacks little: thousands of stages in seconds, overlapping ranges included.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan.field_types import Range
from hexplan_solver.placement.coverage import Column, Coverage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.start.windows import Windows

PASSES = 12
"""How often every stage is moved."""
WIDEST, NARROWEST = 1.0, 0.002
"""The first and the last tau, as shares of the target."""
REGROUP_EVERY = 4
"""Every so many passes, hosts may also be partitioned in another way."""
SEED = 0


@dataclass(frozen=True, slots=True)
class Floors:
    """What each zone should pass at every layer, so that little has to cross between them."""

    zone_of: Mapping[str, int]
    """By host."""
    least: tuple[int, ...]
    """By zone, in 1e-6 tokens/s."""


def balance(problem: Problem, target: int, loss: float, floors: Floors | None = None) -> Coverage:
    """Return a placement on all hosts whose least covered layer comes near a target flow.

    Parameters
    ----------
    target
        In 1e-6 tokens/s; more than this in one layer is of no use.
    loss
        Share of its most work that a stage may lose by the window that it takes.
    floors
        Needs of zones, beside those of all together.
    """
    rng = random.Random(SEED)  # noqa: S311 - a search, not a secret
    layout = _Layout(problem, target, loss, floors or Floors({}, ()))
    best, best_value = layout.coverage(), layout.value
    for step in range(PASSES):
        layout.soften(target * WIDEST * (NARROWEST / WIDEST) ** (step / (PASSES - 1)))
        layout.move_all(rng, may_regroup=step % REGROUP_EVERY == 0)
        if layout.value > best_value:
            best, best_value = layout.coverage(), layout.value
    return best


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stage of some kind lies, and its speed there."""

    kind: int
    layers: Range
    rate: int


@dataclass(slots=True)
class _HostLayout:
    """One host: its class, its partition, and where its groups lie."""

    host_class: int
    way: int
    places: list[_Place]


class _Layout:
    """A placement of every host, and the coverage of every layer."""

    def __init__(self, problem: Problem, target: int, loss: float, floors: Floors) -> None:
        self._classes = problem.classes
        self._target, self._floors = target, np.array(floors.least, dtype=np.int64)
        self._zone = [problem.zone_of(kind.index, floors.zone_of) for kind in problem.kinds]
        self._by_zone = np.zeros((len(floors.least), problem.num_layers), dtype=np.int64)
        self._windows = Windows(problem, target, loss)
        self._coverage = np.zeros(problem.num_layers, dtype=np.int64)
        self._tau = 0.0
        self.soften(WIDEST * target)
        work = [self._windows.work[speed] for speed in self._windows.speed_of_kind]
        self._hosts: list[_HostLayout] = []
        for index, host_class in enumerate(problem.classes):
            totals = [sum(n * work[kind] for kind, n in way) for way in host_class.partitions]
            way = totals.index(max(totals))
            self._hosts += [_HostLayout(index, way, []) for _ in host_class.hosts]
        # The large first, as in the longest-processing-time rule.
        self._hosts.sort(key=lambda host: -max(work[kind] for kind in self._kinds(host)))
        for host in self._hosts:
            host.places = [self._put(kind) for kind in self._kinds(host)]

    @property
    def value(self) -> int:
        """The coverage of the least covered layer, or less where a zone lacks more of its floor."""
        return self._target - int(self._lacks().max())

    def soften(self, tau: float) -> None:
        """Set the scale on which needs fall, in 1e-6 tokens/s."""
        self._tau = tau
        self._windows.soften(tau)

    def move_all(self, rng: random.Random, *, may_regroup: bool) -> None:
        """Take out every stage once and put it back where it relieves most."""
        rng.shuffle(self._hosts)
        for host in self._hosts:
            if may_regroup and len(self._classes[host.host_class].partitions) > 1:
                self._regroup(host)
                continue
            for position, place in enumerate(host.places):
                self._change(place, -1)
                host.places[position] = self._put(place.kind)

    def coverage(self) -> Coverage:
        """Return the placement by kinds."""
        counts = Counter((p.kind, p.layers) for host in self._hosts for p in host.places)
        ways = [[0] * len(host_class.partitions) for host_class in self._classes]
        for host in self._hosts:
            ways[host.host_class][host.way] += 1
        columns = tuple(Column(kind, layers, n) for (kind, layers), n in sorted(counts.items()))
        return Coverage(columns, tuple(tuple(row) for row in ways), None, "feasible")

    def _kinds(self, host: _HostLayout) -> list[int]:
        way = self._classes[host.host_class].partitions[host.way]
        return [kind for kind, n in way for _ in range(n)]

    def _put(self, kind: int) -> _Place:
        lacks = self._lacks()
        if self._floors.size:
            lacks = lacks[[0, 1 + self._zone[kind]]]
        sums = np.zeros(self._coverage.size + 1)
        # Counted from the layer that lacks most, so that the largest need is 1.
        np.cumsum(np.exp((lacks - lacks.max()) / self._tau).sum(axis=0), out=sums[1:])
        place = _Place(kind, *self._windows.best(kind, sums))
        self._change(place, 1)
        return place

    def _change(self, place: _Place, sign: int) -> None:
        layers = slice(*place.layers)
        self._coverage[layers] += sign * place.rate
        if self._floors.size:
            self._by_zone[self._zone[place.kind], layers] += sign * place.rate

    def _lacks(self) -> NDArray[np.int64]:
        """Return what all zones together lack at every layer, then what each zone does."""
        own = self._floors[:, None] - self._by_zone
        return np.vstack([self._target - self._coverage, own])

    def _regroup(self, host: _HostLayout) -> None:
        """Try every partition of a host, and keep the one that leaves least need."""
        for place in host.places:
            self._change(place, -1)
        before = self._coverage.copy(), self._by_zone.copy()
        top = self._lacks().max()
        found: list[tuple[float, int, list[_Place]]] = []
        for way in range(len(self._classes[host.host_class].partitions)):
            host.way = way
            places = [self._put(kind) for kind in self._kinds(host)]
            needs = float(np.exp((self._lacks() - top) / self._tau).sum())
            found.append((needs, way, places))
            self._coverage[:], self._by_zone[:] = before
        _, host.way, host.places = min(found, key=lambda item: item[:2])
        for place in host.places:
            self._change(place, 1)
