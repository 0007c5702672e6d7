"""The relaxation of the zone bound: how many layers patterns can hold, zone by zone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import linprog

from hexplan_solver.bounds.bounds import work_bound
from hexplan_solver.placement.covers import Speeds, Supply
from hexplan_solver.placement.grid import steps_of
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone

GRID = 1000
"""Speeds are rounded up to this many parts of the target, which can only raise the bound."""
SHORTEST = 8
"""Slower stages count as that many parts, for the sake of speed; that, too, raises the bound."""
ROUNDS = 150
TRIALS = 3
"""Rounds, and how many of them try the prices that proved it for other boxes."""
SMOOTHING = 0.7
"""Prices are drawn so far towards the best that were found: fewer rounds."""
MARGIN = 1e-6
"""Share by which fewer layers than L must be possible, more than the LP's tolerance."""

Box = tuple[tuple[int, int], ...]
"""For each zone, between which flows its least flow lies, in 1e-6 tokens/s."""


@dataclass(frozen=True, slots=True)
class ZonePart:
    """What one zone can add to a layer: items of (speed, layers held), and how many groups."""

    alone: int
    """A proved bound of the zone by itself."""
    drift: int
    """How much its flow can change over all layers."""
    groups: NDArray[np.float64]
    """Groups of each speed (rows) that a host forms in each way (columns), negative."""
    hosts: NDArray[np.float64]
    """1 where a way is of a set of hosts: shape (sets, ways)."""
    num_hosts: NDArray[np.float64]
    """Hosts of each set."""
    speed: NDArray[np.int64]
    """Of each item, as the two below."""
    num_layers: NDArray[np.int64]
    rate: NDArray[np.int64]

    @classmethod
    def of(cls, problem: Problem, zone: Zone) -> ZonePart:
        """List what stages of each speed can hold, ends of the model aside."""
        own = problem.only(zone.hosts)
        speeds = Speeds.of(own)
        supply = Supply.of(own, speeds)
        formed = [i for i in range(len(speeds.kinds)) if supply.matrix[i].any()]
        items = []
        for speed, index in enumerate(formed):
            rates = own.kinds[speeds.kinds[index][0]].rates.by_layers
            best = np.array([ends for row in rates for ends in row]).max(axis=0)
            items += [(speed, k, int(rate)) for k, rate in enumerate(best) if rate]
        table = np.array(items, dtype=np.int64).reshape(-1, 3)
        num_speeds = len(speeds.kinds)
        return cls(
            work_bound(own),
            max(zone.inward, zone.outward),
            supply.matrix[formed],
            supply.matrix[num_speeds:],
            supply.limits[num_speeds:],
            *table.T,
        )


class ZonePatterns:
    """The relaxation of one box: how many layers patterns within it can hold."""

    def __init__(self, parts: Sequence[ZonePart], box: Box, target: int) -> None:
        self._parts, self._target = parts, target
        self._limits = [
            (low * GRID // target, min(GRID, -(-(high + part.drift) * GRID // target)))
            for part, (low, high) in zip(parts, box, strict=True)
        ]
        self._steps = [np.maximum(steps_of(part.rate, target, GRID), SHORTEST) for part in parts]
        self._ratio = [part.rate / target * GRID for part in parts]
        self._offsets = np.cumsum([0, *(len(part.groups) for part in parts)])
        self._groups = np.asarray(block_diag(*(part.groups for part in parts)))
        self._hosts = np.asarray(block_diag(*(part.hosts for part in parts)))
        self._num_hosts = np.concatenate([part.num_hosts for part in parts])

    def too_few(
        self, num_layers: int, memory: list[NDArray[np.float64]], until: float = math.inf
    ) -> bool:
        """Say whether prices prove that fewer than all layers can be held (Farley's bound).

        Parameters
        ----------
        memory
            Prices that proved it for other boxes, tried first; new ones are added.
        until
            When to give up, on the monotonic clock.
        """
        best = np.inf
        chosen: list[NDArray[np.float64]] = []
        center = duals = self._work_prices()
        trials = [*memory[::-1][:TRIALS], center]
        smooth = SMOOTHING
        for _ in range(ROUNDS):
            prices = trials.pop(0) if trials else smooth * center + (1 - smooth) * duals
            priced = self._cheapest(prices)
            if priced is None:
                return True
            cost, uses = priced
            layers = self._worth(prices) / cost if cost > 0 else np.inf
            if layers < num_layers * (1 - MARGIN):
                memory.append(prices)
                return True
            if layers < best:
                best, center = layers, prices
            if chosen and uses @ duals >= 1 - MARGIN:
                if smooth == 0:
                    return False
                smooth = 0.0 if smooth < 0.1 else smooth / 2
                continue
            smooth = SMOOTHING
            chosen.append(uses)
            value, duals = self._relaxation(chosen)
            if value >= num_layers or time.monotonic() > until:
                return False
        return False

    def _work_prices(self) -> NDArray[np.float64]:
        """Price each speed by the work that it can do, as the work bound does."""
        work = [
            [
                (p.num_layers * np.minimum(p.rate, cap * self._target / GRID))[p.speed == s].max()
                for s in range(len(p.groups))
            ]
            for p, (_, cap) in zip(self._parts, self._limits, strict=True)
        ]
        flat = np.concatenate(work)
        return np.asarray(flat / flat.max())

    def _worth(self, prices: NDArray[np.float64]) -> float:
        """Return what the dearest groups that all hosts can form are worth."""
        by_way = -prices @ self._groups
        dearest = np.where(self._hosts > 0, by_way, 0.0).max(axis=1)
        return float(dearest @ self._num_hosts)

    def _cheapest(self, prices: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]] | None:
        """Return the least that a pattern pays, and what it uses; None if there is none."""
        tables = [self._zone_costs(i, prices) for i in range(len(self._parts))]
        total, splits = _combine([t.cost for t in tables], self._limits)
        if not np.isfinite(total):
            return None
        uses = np.zeros(self._offsets[-1])
        for i, (table, amount) in enumerate(zip(tables, splits, strict=True)):
            part, offset = self._parts[i], int(self._offsets[i])
            for item, count in table.pattern(amount):
                uses[offset + part.speed[item]] += count / part.num_layers[item]
        return total, uses

    def _zone_costs(self, i: int, prices: NDArray[np.float64]) -> _Table:
        part = self._parts[i]
        own = prices[self._offsets[i] : self._offsets[i + 1]]
        return _Table.of(
            self._steps[i], self._ratio[i], own[part.speed] / part.num_layers, self._limits[i][1]
        )

    def _relaxation(self, chosen: list[NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
        """Return the most layers that the chosen patterns hold, and the price of each speed."""
        num_speeds = len(self._groups)
        patterns = np.array(chosen).T
        above = np.hstack([patterns, self._groups])
        below = np.hstack([np.zeros((len(self._hosts), patterns.shape[1])), self._hosts])
        gain = np.zeros(above.shape[1])
        gain[: patterns.shape[1]] = -1
        limits = np.concatenate([np.zeros(num_speeds), self._num_hosts])
        found = linprog(gain, A_ub=np.vstack([above, below]), b_ub=limits, method="highs")
        return -float(found.fun or 0.0), np.maximum(-found.ineqlin.marginals[:num_speeds], 0)


@dataclass(frozen=True, slots=True)
class _Table:
    """Least price of supplying at least so many steps, from one zone."""

    cost: NDArray[np.float64]
    """By steps, `[0, cap]`."""
    taken: NDArray[np.int64]
    """The item added last, by steps."""
    steps: NDArray[np.int64]
    fluid: tuple[int, float]
    """The item of the least price per flow, and its speed in steps: no supply is cheaper."""
    is_fluid: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        steps: NDArray[np.int64],
        speed: NDArray[np.float64],
        price: NDArray[np.float64],
        cap: int,
    ) -> _Table:
        order = np.lexsort((price, steps))
        _, firsts = np.unique(steps[order], return_index=True)
        kept = order[firsts]
        # ... and only if no longer one is as cheap.
        dearer = np.minimum.accumulate(price[kept][::-1])[::-1]
        kept = kept[price[kept] <= dearer]
        reach, pays = steps[kept], price[kept]
        cost = np.zeros(cap + 1)
        taken = np.zeros(cap + 1, dtype=np.int64)
        block = int(reach.min())
        for first in range(1, cap + 1, block):
            # No item is shorter than a block, so a block rests on what lies before it alone.
            needs = np.arange(first, min(first + block, cap + 1))
            totals = cost[np.maximum(needs[:, None] - reach, 0)] + pays
            best = totals.argmin(axis=1)
            taken[needs] = kept[best]
            cost[needs] = totals[np.arange(needs.size), best]
        cheapest = int(np.argmin(price / speed))
        # A zone's flow may lie up to a step below the steps that count for it.
        linear = np.maximum(np.arange(cap + 1) - 1, 0) * (price[cheapest] / speed[cheapest])
        return cls(
            np.maximum(cost, linear),
            taken,
            steps,
            (cheapest, float(speed[cheapest])),
            linear > cost,
        )

    def pattern(self, amount: int) -> Iterator[tuple[int, float]]:
        """Yield (item, how many) for a supply of so many steps."""
        if self.is_fluid[amount]:
            item, speed = self.fluid
            yield item, (amount - 1) / speed
            return
        while amount > 0:
            item = int(self.taken[amount])
            yield item, 1.0
            amount -= int(self.steps[item])


def _combine(
    costs: Sequence[NDArray[np.float64]], limits: Sequence[tuple[int, int]]
) -> tuple[float, list[int]]:
    """Split GRID steps over the zones, each within its limits, at the least total price.

    Supplying more than is asked is allowed, so sums above GRID count as GRID.
    """
    totals = [np.where(np.arange(GRID + 1) == 0, 0.0, np.inf)]
    for cost, (low, cap) in zip(costs[:-1], limits[:-1], strict=True):
        total = np.full(GRID + 1, np.inf)
        for amount in range(low, cap + 1):
            raised = totals[-1][: GRID + 1 - amount] + cost[amount]
            np.minimum(total[amount:], raised, out=total[amount:])
            total[GRID] = min(total[GRID], totals[-1][GRID - amount :].min() + cost[amount])
        totals.append(total)
    splits, wanted, value = [], GRID, np.inf
    for i in range(len(costs) - 1, -1, -1):
        low, cap = limits[i]
        amounts = np.arange(low, min(cap, wanted) + 1)
        if not amounts.size:
            return np.inf, []
        best, amount, rest = _last_step(totals[i], costs[i][amounts], amounts, wanted)
        value = best if i == len(costs) - 1 else value
        splits.append(amount)
        wanted = rest
    return value, splits[::-1]


def _last_step(
    before: NDArray[np.float64], cost: NDArray[np.float64], amounts: NDArray[np.int64], wanted: int
) -> tuple[float, int, int]:
    """Return the least price, what the last zone supplies for it, and what those before do."""
    if wanted < GRID:
        prices = before[wanted - amounts] + cost
    else:
        prices = np.minimum.accumulate(before[::-1])[::-1][GRID - amounts] + cost
    best = int(np.argmin(prices))
    amount = int(amounts[best])
    rest = wanted - amount
    if wanted == GRID:
        rest += int(np.argmin(before[rest:]))
    return float(prices[best]), amount, rest
