"""Local search where links bind: move stages, judge each placement by its max-flow."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from hexplan.noun import Range
from hexplan_solver.judges import Judge
from hexplan_solver.network import PlacedStage
from hexplan_solver.problem import Problem

MAX_STEPS = 10_000
"""Placements tried, so that two runs that end before their time limit end alike."""
PATIENCE = 4_000
"""Steps without gain after which the search starts again from its best."""
COOLING = 0.02
"""A loss of this share of the flow is accepted now and then at first, and never at the end."""


def improve(
    problem: Problem,
    judge: Judge,
    start: Sequence[PlacedStage],
    target: int,
    seed: int,
    may_go_on: Callable[[int], bool],
) -> list[PlacedStage]:
    """Improve a placement step by step: simulated annealing on the exact flow.

    Parameters
    ----------
    judge
        Computes the flow of a placement.
    target
        A proved bound in 1e-6 tokens/s; reaching it ends the search.
    may_go_on
        Told the best flow so far at times; False ends the search.
    """
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
