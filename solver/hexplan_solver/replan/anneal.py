"""Local search for fewer moved bytes if the links limit the flow: annealing on bytes and flow.

The MILP of the fewest bytes ignores the links, so its placement may miss the flow. This search
values each placement by its exact flow.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hexplan.field_types import Range
from hexplan_solver.anneal import Metropolis, Scored, anneal
from hexplan_solver.flow.valuers import Valuer
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.replan.movement import Movement
from hexplan_solver.replan.params import REPLAN_PARAMS


@dataclass(frozen=True, slots=True)
class FlowGoal:
    """The flow that a placement has to reach, and when to stop looking for one."""

    valuer: Valuer
    flow: int
    """In 1e-6 tokens/s."""
    may_go_on: Callable[[], bool]
    """Asked from time to time; False ends the search."""


def fewest_moved(
    movement: Movement, goal: FlowGoal, known: Sequence[Placement], seed: int
) -> Placement:
    """Return the placement of fewest moved bytes that was found to reach the flow.

    Parameters
    ----------
    known
        Placements from which one host's stages may be taken over. The first reaches the flow, and
        the search starts from the last.
    """
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    scale = max(1, *(movement.total(placement) for placement in known))
    costs = _Costs(movement, goal, _Moves(movement, known, rng), scale)
    best = Scored(known[0], math.nan, merit=-float(movement.total(known[0])))
    hot, cold = REPLAN_PARAMS.hot, REPLAN_PARAMS.cold
    acceptance = Metropolis(lambda progress: hot * (cold / hot) ** progress, rng)
    return anneal(costs, costs.scored(known[-1]), acceptance, REPLAN_PARAMS.walk, best).state


@dataclass(frozen=True, slots=True)
class _Costs:
    """Placements with their costs: moved bytes, and a penalty for missing flow."""

    movement: Movement
    goal: FlowGoal
    moves: _Moves
    scale: int

    def change(self, state: Placement) -> Placement | None:
        return self.moves.neighbour(state)

    def score(self, change: Placement, floor: float) -> Scored[Placement]:
        return self.scored(change)

    def may_go_on(self, step: int, best: Scored[Placement]) -> bool:
        return step % REPLAN_PARAMS.steps_per_look != 0 or self.goal.may_go_on()

    def scored(self, placement: Placement) -> Scored[Placement]:
        """Return a placement with minus its cost; only one that reaches the flow may be best."""
        moved = self.movement.total(placement)
        flow = self.goal.valuer.flow(placement) if placement else 0
        missing = max(0.0, 1 - flow / max(1, self.goal.flow)) if placement else 1.0
        merit = -float(moved) if flow >= self.goal.flow else -math.inf
        cost = moved / self.scale + REPLAN_PARAMS.missing_cost * missing
        return Scored(placement, -cost, merit)


class _Moves:
    """Small changes of a placement: of a range, a shared boundary, or all stages of a host."""

    def __init__(self, movement: Movement, known: Sequence[Placement], rng: random.Random) -> None:
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

    def neighbour(self, placement: Placement) -> Placement | None:
        """Return a changed placement, or None if the change that was drawn is impossible."""
        move = self._rng.choice((self._resize, self._resize, self._shift, self._snap, self._borrow))
        changed = move(list(placement)) if placement else self._borrow([])
        return None if changed is None else Placement.of(changed)

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
        """Let one stage begin and end where known stages do."""
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
        """Give one host the stages that it has in a known placement."""
        host = self._rng.choice(self._hosts)
        option = self._rng.choice(self._options[host])
        changed = [s for s in stages if s.host != host] + list(option)
        return changed if changed and sorted(changed) != sorted(stages) else None


def _by_host(stages: Sequence[PlacedStage]) -> dict[str, list[PlacedStage]]:
    found: dict[str, list[PlacedStage]] = defaultdict(list)
    for stage in stages:
        found[stage.host].append(stage)
    return found
