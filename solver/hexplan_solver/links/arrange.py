"""Arrange a placement for its links: the order of its blocks, and which of like hosts serve which.

Where links are ignored, the order of segments does not matter, nor which of two hosts of one speed
takes which place. Where they bind, both do: two single stages at two sites share one slow link,
while a stage that splits its flow over five has five of them. The arrangement is searched for on a
simple measure, the flow that each boundary between two blocks can pass by itself; where sites share
a line, less what has to change sites there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hexplan_solver.anneal import Metropolis, Scored, Walk, anneal
from hexplan_solver.links.arrange_measure import Measure
from hexplan_solver.links.blocks import Block, blocks_of
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem

COOLING = 0.1
"""At first, a change may lose about this share of the wanted flow at one boundary."""
ASKED_EVERY = 256
"""Steps between two looks at the clock."""


def arrange(
    problem: Problem,
    stages: Sequence[PlacedStage],
    wanted: int,
    seed: int,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Placement:
    """Return the placement in the order, and on the hosts, that pass the wanted flow best.

    Parameters
    ----------
    wanted
        The flow that the placement would have if links did not bind, in 1e-6 tokens/s.
    may_go_on
        Asked now and then; False ends the search.
    """
    if any(problem.kinds[stage.kind].pin is not None for stage in stages):
        return Placement.of(stages)  # moved or on other hosts, they would break the pins
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    measure = Measure(problem, wanted)
    blocks = blocks_of(stages)
    acceptance = Metropolis(lambda progress: wanted * COOLING * (1 - progress), rng)
    landscape = _Arrangements(problem, measure, rng, may_go_on)
    walk = Walk(measure.steps(len(stages)))
    best = anneal(landscape, Scored(blocks, measure.of(blocks)), acceptance, walk)
    return Placement.of(stage for block in measure.laid_out(best.state) for stage in block)


@dataclass(frozen=True, slots=True)
class _Arrangements:
    """Orders of the blocks, with the hosts of their stages."""

    problem: Problem
    measure: Measure
    rng: random.Random
    goes_on: Callable[[], bool]

    def change(self, state: list[Block]) -> list[Block] | None:
        if self.rng.random() < 0.5:
            return _swap_hosts(self.problem, state, self.rng)
        return _move(state, self.rng)

    def score(self, change: list[Block], floor: float) -> Scored[list[Block]]:
        return Scored(change, self.measure.of(change))

    def may_go_on(self, step: int, best: Scored[list[Block]]) -> bool:
        if best.value >= self.measure.most(best.state):
            return False
        return step % ASKED_EVERY != ASKED_EVERY - 1 or self.goes_on()


def _move(blocks: list[Block], rng: random.Random) -> list[Block] | None:
    """Take a run of blocks out and put it in elsewhere."""
    if len(blocks) < 2:
        return None
    first = rng.randrange(len(blocks))
    end = min(len(blocks), first + rng.choice((1, 1, 2, 3)))
    rest = blocks[:first] + blocks[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + blocks[first:end] + rest[place:]


def _swap_hosts(problem: Problem, blocks: list[Block], rng: random.Random) -> list[Block] | None:
    """Let two stages of equal speeds change hosts."""
    i, j = rng.randrange(len(blocks)), rng.randrange(len(blocks))
    a, b = (rng.randrange(len(blocks[position].stages)) for position in (i, j))
    one, other = blocks[i].stages[a], blocks[j].stages[b]
    if i == j or one.host == other.host:
        return None
    if problem.kinds[one.kind].rates != problem.kinds[other.kind].rates:
        return None
    changed = list(blocks)
    changed[i] = blocks[i].with_stage(a, other)
    changed[j] = blocks[j].with_stage(b, one)
    return changed
