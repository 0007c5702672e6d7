"""Balancing: one stage after another goes where the layers need it most.

Every layer l has a need `exp(-c_l / tau)`, which falls as its coverage c_l (the summed rates of its
holders) grows. A stage of rate T takes the share `1 - exp(-T / tau)` off the need of each of its
layers, so prefix sums give its best range exactly. Stages are taken out and put back one by one
while tau shrinks. This places thousands of stages in seconds, with ranges that may overlap, and the
least covered layer lacks little. The summed needs are a potential function as that of Plotkin,
Shmoys and Tardos (1995) for covering programs: the smaller tau, the more the least covered layer
decides.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan.field_types import Range
from hexplan_solver.budget import GoesOn, always
from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.problem.problem import Problem
from hexplan_solver.start.params import START_PARAMS, StartParams
from hexplan_solver.start.range_table import RangeTable


@dataclass(frozen=True, slots=True)
class Floors:
    """The flow that each zone should pass at every layer, so that zones exchange little."""

    zone_of: Mapping[str, int]
    """By host."""
    least: tuple[int, ...]
    """By zone, in 1e-6 tokens/s."""


def balance(
    problem: Problem,
    target: int,
    loss: float,
    floors: Floors | None = None,
    params: StartParams = START_PARAMS,
    goes_on: GoesOn = always,
) -> StageCounts:
    """Return a placement on all hosts whose least covered layer comes near a target flow.

    Parameters
    ----------
    target
        In 1e-6 tokens/s; covering a layer with more is of no use.
    loss
        Share of its largest work that a stage may lose by its choice of range.
    floors
        Flows that single zones should pass; what they lack adds to the needs.
    goes_on
        Asked before each host is moved; the first placement of all hosts is made in any case.
    """
    rng = random.Random(params.seed)  # noqa: S311 - a search, not a secret
    layout = _Layout(problem, target, loss, floors or Floors({}, ()), params)
    layout.set_scale(target * params.widest)
    layout.place_all()
    best, best_value = layout.counts(), layout.value
    narrowing = params.narrowest / params.widest
    for step in range(params.passes):
        layout.set_scale(target * params.widest * narrowing ** (step / (params.passes - 1)))
        may_regroup = step % params.regroup_every == 0
        if not layout.move_all(rng, goes_on, may_regroup=may_regroup):
            break
        if layout.value > best_value:
            best, best_value = layout.counts(), layout.value
    return best


@dataclass(frozen=True, slots=True)
class _RangedStage:
    """A stage of some kind, with its layers and its rate there."""

    kind: int
    layers: Range
    rate: int


@dataclass(slots=True)
class _HostLayout:
    """One host with its class, its partition, and the stages of its groups."""

    host_class: int
    partition: int
    stages: list[_RangedStage]


class _Layout:
    """A placement of every host, and the coverage of every layer."""

    def __init__(
        self, problem: Problem, target: int, loss: float, floors: Floors, params: StartParams
    ) -> None:
        self._classes, self._most_partitions = problem.classes, params.most_partitions
        self._target, self._floors = target, np.array(floors.least, dtype=np.int64)
        self._zone = [problem.zone_of(kind.index, floors.zone_of) for kind in problem.kinds]
        self._by_zone = np.zeros((len(floors.least), problem.num_layers), dtype=np.int64)
        self._ranges = RangeTable(problem, target, loss)
        self._coverage = np.zeros(problem.num_layers, dtype=np.int64)
        self._tau = 0.0
        work = [self._ranges.work[rate_class] for rate_class in self._ranges.class_of_kind]
        self._hosts: list[_HostLayout] = []
        for index, host_class in enumerate(problem.classes):
            totals = [sum(n * work[kind] for kind, n in p) for p in host_class.partitions]
            most = totals.index(max(totals))
            self._hosts += [_HostLayout(index, most, []) for _ in host_class.hosts]
        # The largest first, as in the longest-processing-time rule of scheduling (Graham, 1969):
        # small stages then fill the gaps that large ones leave.
        self._hosts.sort(key=lambda host: -max(work[kind] for kind in self._kinds(host)))

    @property
    def value(self) -> int:
        """The least coverage of a layer, or less if some zone lacks more than that layer."""
        return self._target - int(self._lacks().max())

    def set_scale(self, tau: float) -> None:
        """Set tau, the scale on which needs fall, in 1e-6 tokens/s."""
        self._tau = tau
        self._ranges.set_scale(tau)

    def place_all(self) -> None:
        """Put every group of every host where it takes off most need."""
        for host in self._hosts:
            host.stages = [self._put(kind) for kind in self._kinds(host)]

    def move_all(self, rng: random.Random, goes_on: GoesOn, *, may_regroup: bool) -> bool:
        """Take out every stage once and put it back where it takes off most need.

        Returns whether there was time for all.
        """
        rng.shuffle(self._hosts)
        for host in self._hosts:
            if not goes_on():
                return False
            if may_regroup and len(self._classes[host.host_class].partitions) > 1:
                self._regroup(host, rng)
                continue
            for position, stage in enumerate(host.stages):
                self._change(stage, -1)
                host.stages[position] = self._put(stage.kind)
        return True

    def counts(self) -> StageCounts:
        """Return the placement by kinds."""
        counts = Counter((s.kind, s.layers) for host in self._hosts for s in host.stages)
        partitioned = [[0] * len(host_class.partitions) for host_class in self._classes]
        for host in self._hosts:
            partitioned[host.host_class][host.partition] += 1
        stages = tuple(StageCount(kind, layers, n) for (kind, layers), n in sorted(counts.items()))
        return StageCounts(stages, tuple(tuple(row) for row in partitioned))

    def _kinds(self, host: _HostLayout) -> list[int]:
        partition = self._classes[host.host_class].partitions[host.partition]
        return [kind for kind, n in partition for _ in range(n)]

    def _put(self, kind: int) -> _RangedStage:
        lacks = self._lacks()
        if self._floors.size:
            lacks = lacks[[0, 1 + self._zone[kind]]]
        sums = np.zeros(self._coverage.size + 1)
        # Counted from the layer that lacks most, so that the largest need is 1.
        np.cumsum(np.exp((lacks - lacks.max()) / self._tau).sum(axis=0), out=sums[1:])
        stage = _RangedStage(kind, *self._ranges.best(kind, sums))
        self._change(stage, 1)
        return stage

    def _change(self, stage: _RangedStage, sign: int) -> None:
        """Add a stage's rate to the coverage of its layers, or subtract it."""
        layers = slice(*stage.layers)
        self._coverage[layers] += sign * stage.rate
        if self._floors.size:
            self._by_zone[self._zone[stage.kind], layers] += sign * stage.rate

    def _lacks(self) -> NDArray[np.int64]:
        """Return what all zones together lack at every layer, then what each zone lacks."""
        own = self._floors[:, None] - self._by_zone
        return np.vstack([self._target - self._coverage, own])

    def _regroup(self, host: _HostLayout, rng: random.Random) -> None:
        """Try every partition of a host, or many, and keep the one that leaves least need."""
        every = range(len(self._classes[host.host_class].partitions))
        ways: Sequence[int] = every
        if len(every) > self._most_partitions:
            ways = sorted({host.partition, *rng.sample(every, self._most_partitions - 1)})
        for stage in host.stages:
            self._change(stage, -1)
        before = self._coverage.copy(), self._by_zone.copy()
        top = self._lacks().max()
        tried: list[tuple[float, int, list[_RangedStage]]] = []
        for partition in ways:
            host.partition = partition
            stages = [self._put(kind) for kind in self._kinds(host)]
            needs = float(np.exp((self._lacks() - top) / self._tau).sum())
            tried.append((needs, partition, stages))
            self._coverage[:], self._by_zone[:] = before
        _, host.partition, host.stages = min(tried, key=lambda item: item[:2])
        for stage in host.stages:
            self._change(stage, 1)
