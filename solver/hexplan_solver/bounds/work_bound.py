"""The work bound and the coordinator's: no placement exceeds them, whatever the links.

See docs/formulation.md 8.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan.bound_proof import CoordinatorProof, WorkProof
from hexplan.field_types import Range
from hexplan_solver.bounds.proof import Proved
from hexplan_solver.problem.problem import HostClass, Problem, StageKind
from hexplan_solver.problem.rates import Rates, coordinator_rate

CurvePartition = tuple[tuple[int, int], ...]
"""(rate curve, count) pairs: one partition of a host, kinds of equal rates taken together."""


def coordinator_bound(problem: Problem) -> int:
    """Return what the coordinator's network card passes, in 1e-6 tokens/s: a token id each way."""
    return coordinator_rate(problem.spec.cluster)


def quick_bound(problem: Problem) -> Proved:
    """Return the lower of both bounds.

    The planner counts no stage as faster than the coordinator. So its work bound is right only
    where it is the lower one.
    """
    work, coordinator = work_bound(problem), coordinator_bound(problem)
    return (
        Proved(work, WorkProof()) if work < coordinator else Proved(coordinator, CoordinatorProof())
    )


def work_bound(problem: Problem) -> int:
    """Return the largest F, in 1e-6 tokens/s, for which the hosts can do the work of L layers.

    Every layer passes F tokens/s, and a stage of k layers adds at most min(T, F) to each of its k
    layers. Exact in integers; found by bisection, as it is monotone in F.
    """
    work = Work.of(problem)
    low, high = 0, sum(len(c.hosts) * _max_stages(c) for c in problem.classes) * work.fastest
    while low < high:
        middle = (low + high + 1) // 2
        is_possible = work.at_most(middle) >= problem.num_layers * middle
        low, high = (middle, high) if is_possible else (low, middle - 1)
    return low


def work_at(problem: Problem, flow: int) -> int:
    """Return the most work that all hosts do, in layers times flow, if each layer passes `flow`."""
    return Work.of(problem).at_most(flow)


@dataclass(frozen=True, slots=True)
class Work:
    """What the hosts can do, in layers times 1e-6 tokens/s."""

    best: tuple[NDArray[np.int64], ...]
    """For each rate curve, the highest rate by the number of layers held, from 1."""
    hosts: tuple[tuple[int, tuple[CurvePartition, ...]], ...]
    """How many hosts have which partitions; their sites do not matter."""

    @classmethod
    def of(cls, problem: Problem) -> Work:
        """Take together the kinds and hosts that do equal work."""
        numbers: dict[tuple[Rates, Range | None], int] = {}
        curve_of = [numbers.setdefault((k.rates, k.pin), len(numbers)) for k in problem.kinds]
        alike: Counter[tuple[CurvePartition, ...]] = Counter()
        for host_class in problem.classes:
            partitions = (((curve_of[kind], n) for kind, n in p) for p in host_class.partitions)
            alike[tuple(tuple(partition) for partition in partitions)] += len(host_class.hosts)
        samples = dict(zip(curve_of, problem.kinds, strict=True))
        best = tuple(_best_rates(samples[curve]) for curve in range(len(numbers)))
        return cls(best, tuple((count, partitions) for partitions, count in alike.items()))

    @property
    def fastest(self) -> int:
        """The highest rate of all."""
        return max((int(rates.max()) for rates in self.best if rates.size), default=0)

    def at_most(self, flow: int) -> int:
        """Return the work that all hosts add when every layer passes `flow`."""
        # Python's integers from here on, as the sums may exceed 64 bits.
        by_curve = [_most_work(rates, flow) for rates in self.best]
        return sum(
            count * max(sum(n * by_curve[curve] for curve, n in p) for p in partitions)
            for count, partitions in self.hosts
        )


def _most_work(rates: NDArray[np.int64], flow: int) -> int:
    """Return the most that a stage with these rates by layers adds when `flow` passes."""
    if not rates.size:
        return 0
    # No more than the fastest, as `flow` may not fit into the array's integers.
    useful = min(flow, int(rates.max()))
    return int((np.minimum(rates, useful) * np.arange(1, rates.size + 1)).max())


def _max_stages(host_class: HostClass) -> int:
    return max(sum(count for _, count in partition) for partition in host_class.partitions)


def _best_rates(kind: StageKind) -> NDArray[np.int64]:
    """Return the highest rate of a kind for each number of layers."""
    rates = kind.rates
    best = [0] * rates.max_layers
    if kind.pin is not None:
        for first, end in kind.ranges():
            best[end - first - 1] = rates.of(first, end)
    else:
        ends = [ends for row in rates.by_layers for ends in row]
        best = [max(rate[k] for rate in ends) for k in range(1, rates.max_layers + 1)]
    fits_64_bits = max(best, default=0) * len(best) < 2**62
    return np.array(best, dtype=np.int64 if fits_64_bits else object)
