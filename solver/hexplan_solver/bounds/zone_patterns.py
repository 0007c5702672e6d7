"""The relaxation of the zone bound: how many layers patterns of all zones can hold in one box."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import linprog

from hexplan.constants import EMPTY_BOX, ZONE_STEPS
from hexplan_solver.bounds.params import BOUND_PARAMS, BoundParams
from hexplan_solver.bounds.step_split import split_steps
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.placement.rate_classes import GroupSupply, RateClasses
from hexplan_solver.placement.rate_steps import rate_steps
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone

Box = tuple[tuple[int, int], ...]
"""For each zone, the flows between which its least flow m lies, in 1e-6 tokens/s."""


@dataclass(frozen=True, slots=True)
class ZoneSupply:
    """What one zone can add to a layer: items of (rate class, layers held), and its groups."""

    alone: int
    """A proved bound of the zone by itself."""
    drift: int
    """How much its flow can change over all layers: D."""
    groups: NDArray[np.float64]
    """Groups of each rate class (rows) that a host forms by each partition (columns), negative."""
    hosts: NDArray[np.float64]
    """1 where a partition is one of a set of hosts: shape (sets, partitions)."""
    num_hosts: NDArray[np.float64]
    """Hosts of each set."""
    problem: Problem
    """The problem of the zone's hosts alone."""
    class_of_kind: NDArray[np.int64]
    """For each kind of that problem, its rate class; -1 if the zone cannot form it."""
    rate_class: NDArray[np.int64]
    """Of each item, as the two below."""
    num_layers: NDArray[np.int64]
    rate: NDArray[np.int64]
    """Raised by more than the check may differ, so that it finds no pattern cheaper."""

    @classmethod
    def of(cls, problem: Problem, zone: Zone) -> ZoneSupply:
        """List what stages of each rate class can hold, ends of the model aside."""
        own = problem.only(zone.hosts)
        classes = RateClasses.of(own)
        supply = GroupSupply.of(own, classes)
        formed = [i for i in range(len(classes)) if supply.matrix[i].any()]
        items = []
        for rate_class, index in enumerate(formed):
            rates = own.kinds[classes.kinds[index][0]].rates.by_layers
            best = np.array([ends for row in rates for ends in row]).max(axis=0)
            raised = best + best // 10**9 + 2
            items += [(rate_class, k, int(raised[k])) for k, rate in enumerate(best) if rate]
        places = {index: rate_class for rate_class, index in enumerate(formed)}
        class_of_kind = np.array([places.get(index, -1) for index in classes.of_kind])
        table = np.array(items, dtype=np.int64).reshape(-1, 3)
        return cls(
            work_bound(own),
            max(zone.inward, zone.outward),
            supply.matrix[formed],
            supply.matrix[len(classes) :],
            supply.limits[len(classes) :],
            own,
            class_of_kind,
            *table.T,
        )


class ZonePatterns:
    """The relaxation of one box: how many layers patterns within it can hold."""

    def __init__(
        self,
        supplies: Sequence[ZoneSupply],
        box: Box,
        target: int,
        params: BoundParams = BOUND_PARAMS,
    ) -> None:
        self._supplies, self._target, self._params = supplies, target, params
        steps, least = ZONE_STEPS, params.zone_shortest
        self._limits = [
            (low * steps // target, min(steps, -(-(high + supply.drift) * steps // target)))
            for supply, (low, high) in zip(supplies, box, strict=True)
        ]
        self._steps = [
            np.maximum(rate_steps(supply.rate, target, steps), least) for supply in supplies
        ]
        self._ratio = [supply.rate / target * steps for supply in supplies]
        self._offsets = np.cumsum([0, *(len(supply.groups) for supply in supplies)])
        self._groups = np.asarray(block_diag(*(supply.groups for supply in supplies)))
        self._hosts = np.asarray(block_diag(*(supply.hosts for supply in supplies)))
        self._num_hosts = np.concatenate([supply.num_hosts for supply in supplies])

    def ruled_out(
        self, num_layers: int, proofs: list[NDArray[np.float64]], until: float = math.inf
    ) -> int | None:
        """Return what proves that fewer than all layers can be held (Farley's bound).

        The position in `proofs` of such prices, `EMPTY_BOX` if there are no patterns at all, or
        None if nothing proves it.

        Parameters
        ----------
        proofs
            Prices that proved it for other boxes, the last tried first; those that prove it for
            this one are added, at which the cheapest pattern of the box pays 1.
        until
            When to give up, on the monotonic clock.
        """
        params, best = self._params, np.inf
        chosen: list[NDArray[np.float64]] = []
        center = duals = self._work_prices()
        trials = [*proofs[::-1][: params.zone_trials], center]
        smooth = params.zone_smoothing
        for _ in range(params.zone_rounds):
            prices = trials.pop(0) if trials else smooth * center + (1 - smooth) * duals
            priced = self._cheapest(prices)
            if priced is None:
                return EMPTY_BOX
            cost, uses = priced
            layers = self._worth(prices) / cost if cost > 0 else np.inf
            if layers < num_layers * (1 - params.margin):
                return _position(proofs, prices, cost)
            if layers < best:
                best, center = layers, prices
            if chosen and uses @ duals >= 1 - params.margin:
                if smooth == 0:
                    return None
                smooth = 0.0 if smooth < 0.1 else smooth / 2
                continue
            smooth = params.zone_smoothing
            chosen.append(uses)
            value, duals = self._relaxation(chosen)
            if value >= num_layers or time.monotonic() > until:
                return None
        return None

    def _work_prices(self) -> NDArray[np.float64]:
        """Price each rate class by the work that it can do, as the work bound does."""
        steps = ZONE_STEPS
        work = [
            [
                (p.num_layers * np.minimum(p.rate, cap * self._target / steps))[
                    p.rate_class == c
                ].max()
                for c in range(len(p.groups))
            ]
            for p, (_, cap) in zip(self._supplies, self._limits, strict=True)
        ]
        flat = np.concatenate(work)
        return np.asarray(flat / flat.max())

    def _worth(self, prices: NDArray[np.float64]) -> float:
        """Return what the dearest groups that all hosts can form are worth."""
        by_partition = -prices @ self._groups
        dearest = np.where(self._hosts > 0, by_partition, 0.0).max(axis=1)
        return float(dearest @ self._num_hosts)

    def _cheapest(self, prices: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]] | None:
        """Return the least that a pattern pays, and what it uses; None if there is none."""
        tables = [self._zone_costs(i, prices) for i in range(len(self._supplies))]
        total, splits = split_steps([t.cost for t in tables], self._limits, ZONE_STEPS)
        if not np.isfinite(total):
            return None
        uses = np.zeros(self._offsets[-1])
        for i, (table, amount) in enumerate(zip(tables, splits, strict=True)):
            supply, offset = self._supplies[i], int(self._offsets[i])
            for item, count in table.pattern(amount):
                uses[offset + supply.rate_class[item]] += count / supply.num_layers[item]
        return total, uses

    def _zone_costs(self, i: int, prices: NDArray[np.float64]) -> _Table:
        supply = self._supplies[i]
        own = prices[self._offsets[i] : self._offsets[i + 1]]
        return _Table.of(
            self._steps[i],
            self._ratio[i],
            own[supply.rate_class] / supply.num_layers,
            self._limits[i][1],
        )

    def _relaxation(self, chosen: list[NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
        """Return the most layers that the chosen patterns hold, and each rate class's price."""
        num_classes = len(self._groups)
        patterns = np.array(chosen).T
        above = np.hstack([patterns, self._groups])
        below = np.hstack([np.zeros((len(self._hosts), patterns.shape[1])), self._hosts])
        gain = np.zeros(above.shape[1])
        gain[: patterns.shape[1]] = -1
        limits = np.concatenate([np.zeros(num_classes), self._num_hosts])
        solution = linprog(gain, A_ub=np.vstack([above, below]), b_ub=limits, method="highs")
        return -float(solution.fun or 0.0), np.maximum(-solution.ineqlin.marginals[:num_classes], 0)


@dataclass(frozen=True, slots=True)
class _Table:
    """Least price of supplying at least so many steps, from one zone."""

    cost: NDArray[np.float64]
    """By steps, `[0, cap]`."""
    taken: NDArray[np.int64]
    """The item added last, by steps."""
    steps: NDArray[np.int64]
    fluid: tuple[int, float]
    """The item of the least price per step, and its rate in steps: no supply is cheaper."""
    is_fluid: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        steps: NDArray[np.int64],
        rate: NDArray[np.float64],
        price: NDArray[np.float64],
        cap: int,
    ) -> _Table:
        order = np.lexsort((price, steps))
        _, firsts = np.unique(steps[order], return_index=True)
        kept = order[firsts]
        # Of equal steps only the cheapest item matters, and only if no longer one is as cheap.
        dearer = np.minimum.accumulate(price[kept][::-1])[::-1]
        kept = kept[price[kept] <= dearer]
        reach, pays = steps[kept], price[kept]
        cost = np.zeros(cap + 1)
        taken = np.zeros(cap + 1, dtype=np.int64)
        block = int(reach.min())
        for first in range(1, cap + 1, block):
            # No item is shorter than a block, so a block depends only on what lies before it.
            needs = np.arange(first, min(first + block, cap + 1))
            totals = cost[np.maximum(needs[:, None] - reach, 0)] + pays
            best = totals.argmin(axis=1)
            taken[needs] = kept[best]
            cost[needs] = totals[np.arange(needs.size), best]
        cheapest = int(np.argmin(price / rate))
        # A zone's flow may lie up to a step below the steps that count for it.
        linear = np.maximum(np.arange(cap + 1) - 1, 0) * (price[cheapest] / rate[cheapest])
        return cls(
            np.maximum(cost, linear),
            taken,
            steps,
            (cheapest, float(rate[cheapest])),
            linear > cost,
        )

    def pattern(self, amount: int) -> Iterator[tuple[int, float]]:
        """Yield (item, how many) of the cheapest supply of so many steps."""
        if self.is_fluid[amount]:
            item, rate = self.fluid
            yield item, (amount - 1) / rate
            return
        while amount > 0:
            item = int(self.taken[amount])
            yield item, 1.0
            amount -= int(self.steps[item])


def _position(proofs: list[NDArray[np.float64]], prices: NDArray[np.float64], cost: float) -> int:
    """Return the position of prices in a list, to which they are added if they are new."""
    known = next((n for n, each in enumerate(proofs) if each is prices), None)
    if known is not None:
        return known
    proofs.append(prices / cost)
    return len(proofs) - 1
