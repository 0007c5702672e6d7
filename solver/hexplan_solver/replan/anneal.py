"""Local search for fewer moved bytes where links bind: annealing on bytes and exact flow."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hexplan.field_types import Range
from hexplan_solver.flow.network import PlacedStage
from hexplan_solver.links.judges import Judge
from hexplan_solver.replan.movement import Movement

MAX_STEPS = 6_000
"""Placements tried, so that two runs that end before their time limit end alike."""
HOT, COLD = 0.1, 0.001
"""Temperatures at the start and at the end, in shares of the start's cost."""
MISSING = 20.0
"""Cost of lacking all of the flow, in shares of the largest cost of a known placement."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the search is for."""

    judge: Judge
    flow: int
    """To be reached, in units of the judge."""
    may_go_on: Callable[[], bool]
    """Asked now and then; False ends the search."""


def anneal(
    movement: Movement,
    goal: Goal,
    known: Sequence[Sequence[PlacedStage]],
    seed: int,
) -> list[PlacedStage]:
    """Return the placement of fewest moved bytes found whose flow reaches the goal.

    Parameters
    ----------
    known
        Placements to start from and to borrow from, host by host; the first reaches the goal, the
        last is where the search starts.
    """
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    moves = _Moves(movement, known, rng)
    scale = max(1, *(movement.total(stages) for stages in known))
    best, best_bytes = list(known[0]), movement.total(known[0])
    current = list(known[-1])
    cost = _cost(movement, goal, current, scale)
    for step in range(MAX_STEPS):
        if step % 64 == 0 and not goal.may_go_on():
            break
        candidate = moves.neighbour(current)
        if candidate is None:
            continue
        found = _cost(movement, goal, candidate, scale)
        heat = HOT * (COLD / HOT) ** (step / MAX_STEPS)
        if found <= cost or rng.random() < math.exp((cost - found) / heat):
            current, cost = candidate, found
            moved = movement.total(current)
            if moved < best_bytes and goal.judge.flow(current) >= goal.flow:
                best, best_bytes = list(current), moved
    return best


def _cost(movement: Movement, goal: Goal, stages: Sequence[PlacedStage], scale: int) -> float:
    missing = max(0.0, 1 - goal.judge.flow(stages) / max(1, goal.flow)) if stages else 1.0
    return movement.total(stages) / scale + MISSING * missing


class _Moves:
    """Small changes of a placement: a range, a shared boundary, or all that one host does."""

    def __init__(
        self, movement: Movement, known: Sequence[Sequence[PlacedStage]], rng: random.Random
    ) -> None:
        self._problem = movement.problem
        self._rng = rng
        options: dict[str, list[tuple[PlacedStage, ...]]] = defaultdict(list)
        for stages in known:
            by_host = _by_host(stages)
            for host in {s.host: None for other in known for s in other}:
                option = tuple(by_host.get(host, ()))
                if option not in options[host]:
                    options[host].append(option)
        self._options = dict(options)
        self._hosts = list(options)
        self._ends = sorted({end for stages in known for s in stages for end in s.layers})

    def neighbour(self, stages: Sequence[PlacedStage]) -> list[PlacedStage] | None:
        """Return a changed copy, or None where the change drawn is impossible."""
        move = self._rng.choice((self._resize, self._resize, self._shift, self._snap, self._borrow))
        return move(list(stages)) if stages else self._borrow([])

    def _fits(self, stage: PlacedStage, layers: Range) -> PlacedStage | None:
        kind = self._problem.kinds[stage.kind]
        is_range = 0 <= layers[0] < layers[1] <= self._problem.num_layers
        if not is_range or layers[1] - layers[0] > kind.rates.max_layers:
            return None
        if kind.pin is not None and kind.pin != layers:
            return None
        rate = kind.rates.of(*layers)
        return replace(stage, layers=layers, rate=rate) if rate else None

    def _with(self, stages: list[PlacedStage], i: int, layers: Range) -> list[PlacedStage] | None:
        changed = self._fits(stages[i], layers)
        if changed is None or changed == stages[i]:
            return None
        stages[i] = changed
        return stages

    def _resize(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Move one or both ends of one stage a little."""
        i = self._rng.randrange(len(stages))
        first, end = stages[i].layers
        low, high = self._rng.choice(((1, 0), (0, 1), (1, 1)))
        step = self._rng.choice((-2, -1, 1, 2))
        return self._with(stages, i, (first + low * step, end + high * step))

    def _snap(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Let one stage begin and end where others do."""
        i = self._rng.randrange(len(stages))
        first, end = sorted(self._rng.choices(self._ends, k=2))
        return self._with(stages, i, (first, end))

    def _shift(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Move a boundary that stages share."""
        boundary = self._rng.choice(stages).layers[1]
        moved = boundary + self._rng.choice((-1, 1))
        for i, stage in enumerate(stages):
            if boundary in stage.layers:
                first, end = (moved if layer == boundary else layer for layer in stage.layers)
                if self._with(stages, i, (first, end)) is None:
                    return None
        return stages

    def _borrow(self, stages: list[PlacedStage]) -> list[PlacedStage] | None:
        """Let one host do what it does in another known placement."""
        host = self._rng.choice(self._hosts)
        option = self._rng.choice(self._options[host])
        changed = [s for s in stages if s.host != host] + list(option)
        return changed if changed and sorted(changed) != sorted(stages) else None


def _by_host(stages: Sequence[PlacedStage]) -> dict[str, list[PlacedStage]]:
    found: dict[str, list[PlacedStage]] = defaultdict(list)
    for stage in stages:
        found[stage.host].append(stage)
    return found
