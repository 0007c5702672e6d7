"""Local search where links bind: move stages, judge each placement by its max-flow."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from hexplan.cluster import COORDINATOR
from hexplan.cost import link_rate
from hexplan.noun import Range
from hexplan_solver.network import PlacedStage
from hexplan_solver.problem import Problem

MAX_STEPS = 20_000
"""Placements tried, so that two runs that end before their time limit end alike."""
PATIENCE = 4_000
"""Steps without gain after which the search starts again from its best."""
INT32_ROOM = 2**30
COOLING = 0.02
"""A loss of this share of the flow is accepted now and then at first, and never at the end."""


class LinkJudge:
    """Computes the flow of many placements of one problem fast, NICs and trunks ignored."""

    def __init__(self, problem: Problem) -> None:
        spec = problem.spec
        names = [host.name for host in spec.cluster.hosts]
        self._position = {name: i for i, name in enumerate(names)}
        self._layers = problem.num_layers
        ends = [*names, COORDINATOR]
        pairs = [[link_rate(spec.cluster, spec.model, a, b) or 0 for b in ends] for a in names]
        entry = [link_rate(spec.cluster, spec.model, COORDINATOR, b) or 0 for b in names]
        largest = max(k.rates.of(*r) for k in problem.kinds for r in k.ranges())
        self.unit = max(1, largest * len(names) // INT32_ROOM + 1)
        cap = INT32_ROOM
        self._pair = np.minimum(np.array(pairs, dtype=np.int64) // self.unit, cap)
        self._entry = np.minimum(np.array(entry, dtype=np.int64) // self.unit, cap)

    def flow(self, stages: Sequence[PlacedStage]) -> int:
        """Return the max flow in units of `unit` 1e-6 tokens/s."""
        n = len(stages)
        first = np.array([s.layers[0] for s in stages])
        end = np.array([s.layers[1] for s in stages])
        host = np.array([self._position[s.host] for s in stages])
        rate = np.array([s.rate // self.unit for s in stages])
        joined = (first[None, :] <= end[:, None]) & (end[:, None] < end[None, :])
        tails, heads = np.nonzero(joined)
        starts, stops = np.flatnonzero(first == 0), np.flatnonzero(end == self._layers)
        inside = np.arange(n)
        rows = np.concatenate([inside, n + tails, np.full(starts.size, 2 * n), n + stops])
        columns = np.concatenate([n + inside, heads, starts, np.full(stops.size, 2 * n + 1)])
        capacity = np.concatenate(
            [
                rate,
                self._pair[host[tails], host[heads]],
                self._entry[host[starts]],
                self._pair[host[stops], -1],
            ]
        )
        graph = csr_array(
            (capacity.astype(np.int32), (rows, columns)), shape=(2 * n + 2, 2 * n + 2)
        )
        return int(maximum_flow(graph, 2 * n, 2 * n + 1).flow_value)


def improve(
    problem: Problem,
    start: Sequence[PlacedStage],
    target: int,
    seed: int,
    may_go_on: Callable[[int], bool],
) -> list[PlacedStage]:
    """Improve a placement step by step: simulated annealing on the exact flow.

    Parameters
    ----------
    target
        A proved bound in 1e-6 tokens/s; reaching it ends the search.
    may_go_on
        Told the best flow so far at times; False ends the search.
    """
    judge = LinkJudge(problem)
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    moves = _Moves(problem, rng)
    current, value = list(start), judge.flow(start)
    best, best_value, since = list(current), value, 0
    for step in range(MAX_STEPS):
        if best_value * judge.unit >= target - judge.unit * len(start):
            break
        if step % 64 == 0 and not may_go_on(best_value * judge.unit):
            break
        candidate = moves.neighbour(current)
        if candidate is None:
            continue
        found = judge.flow(candidate)
        slack = COOLING * best_value * (1 - step / MAX_STEPS) * rng.random() ** 4
        if found >= value - slack:
            current, value = candidate, found
        since += 1
        if found > best_value:
            best, best_value, since = list(candidate), found, 0
        elif since > PATIENCE:
            current, value, since = list(best), best_value, 0
    return best


class _Moves:
    """Small changes of a placement that keep every stage possible."""

    def __init__(self, problem: Problem, rng: random.Random) -> None:
        self._problem = problem
        self._rng = rng

    def neighbour(self, stages: Sequence[PlacedStage]) -> list[PlacedStage] | None:
        """Return a changed copy, or None where the change drawn is impossible."""
        move = self._rng.choice((self._resize, self._resize, self._shift, self._swap, self._join))
        changed = move(list(stages))
        if changed is None or changed == list(stages):
            return None
        return changed

    def _set(self, stages: list[PlacedStage], i: int, layers: Range) -> bool:
        kind = self._problem.kinds[stages[i].kind]
        if not 0 <= layers[0] < layers[1] <= self._problem.num_layers:
            return False
        if kind.pin is not None and kind.pin != layers:
            return False
        if layers[1] - layers[0] > kind.rates.max_layers:
            return False
        rate = kind.rates.of(*layers)
        if rate == 0:
            return False
        stages[i] = replace(stages[i], layers=layers, rate=rate)
        return True

    def _resize(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Move one or both ends of one stage a little."""
        i = self._rng.randrange(len(stages))
        first, end = stages[i].layers
        low, high = self._rng.choice(((1, 0), (0, 1), (1, 1)))
        step = self._rng.choice((-2, -1, 1, 2))
        return stages if self._set(stages, i, (first + low * step, end + high * step)) else None

    def _shift(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Move a boundary that stages share."""
        boundary = self._rng.choice(stages).layers[1]
        if boundary == self._problem.num_layers:
            return None
        moved = boundary + self._rng.choice((-1, 1))
        for i, stage in enumerate(stages):
            if boundary in stage.layers:
                first, end = (moved if layer == boundary else layer for layer in stage.layers)
                if not self._set(stages, i, (first, end)):
                    return None
        return stages

    def _swap(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Let two stages change places, each keeping as many layers as it can."""
        i, j = self._rng.sample(range(len(stages)), 2) if len(stages) > 1 else (0, 0)
        first, second = stages[i].layers, stages[j].layers
        return stages if self._set(stages, i, second) and self._set(stages, j, first) else None

    def _join(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Put one stage where another begins or ends, with a size of its own."""
        i, j = self._rng.randrange(len(stages)), self._rng.randrange(len(stages))
        size = stages[i].layers[1] - stages[i].layers[0]
        size += self._rng.choice((-1, 0, 0, 1))
        first, end = stages[j].layers
        ranges = (
            (first, first + size),
            (end, end + size),
            (first - size, first),
            (end - size, end),
        )
        return stages if self._set(stages, i, self._rng.choice(ranges)) else None
