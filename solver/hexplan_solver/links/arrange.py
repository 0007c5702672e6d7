"""Arrange a placement for its links: the order of its segments, and which host serves where.

Without links, neither matters: not the order of segments, and not which of two hosts of one speed
takes which place. Where links bind, both do. Two single stages at two sites share one slow link;
a stage that splits its flow over five stages has five links. The search uses a simple measure
(`arrange_measure`) in place of the flow, since it tries thousands of arrangements.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hexplan_solver.anneal import Metropolis, Scored, Walk, anneal
from hexplan_solver.links.arrange_measure import Measure
from hexplan_solver.links.params import LINK_PARAMS, LinkParams
from hexplan_solver.links.placed_segments import PlacedSegment, placed_segments
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class ArrangeOptions:
    """How to arrange a placement."""

    seed: int
    may_go_on: Callable[[], bool] = lambda: True
    """Asked now and then; False ends the search."""
    params: LinkParams = LINK_PARAMS


def arrange(
    problem: Problem, stages: Sequence[PlacedStage], wanted: int, options: ArrangeOptions
) -> Placement:
    """Return the placement in the order, and on the hosts, that pass the wanted flow best.

    Parameters
    ----------
    wanted
        The flow that the placement would have without links, in 1e-6 tokens/s.
    """
    if any(problem.kinds[stage.kind].pin is not None for stage in stages):
        return Placement.of(stages)  # with other layers or hosts, they would break the pins
    rng = random.Random(options.seed)  # noqa: S311 - a search, not a secret
    measure = Measure(problem, wanted, options.params)
    segments = placed_segments(stages)
    hottest = wanted * options.params.arrange_cooling
    acceptance = Metropolis(lambda progress: hottest * (1 - progress), rng)
    landscape = _Arrangements(problem, measure, rng, options)
    walk = Walk(measure.steps(len(stages)))
    best = anneal(landscape, Scored(segments, measure.of(segments)), acceptance, walk)
    return Placement.of(stage for segment in measure.laid_out(best.state) for stage in segment)


@dataclass(frozen=True, slots=True)
class _Arrangements:
    """Orders of the segments, with the hosts of their stages."""

    problem: Problem
    measure: Measure
    rng: random.Random
    options: ArrangeOptions

    def change(self, state: list[PlacedSegment]) -> list[PlacedSegment] | None:
        if self.rng.random() < 0.5:
            return _swap_hosts(self.problem, state, self.rng)
        return _move(state, self.rng)

    def score(self, change: list[PlacedSegment], floor: float) -> Scored[list[PlacedSegment]]:
        return Scored(change, self.measure.of(change))

    def may_go_on(self, step: int, best: Scored[list[PlacedSegment]]) -> bool:
        if best.value >= self.measure.most(best.state):
            return False
        clock_every = self.options.params.clock_every
        return step % clock_every != clock_every - 1 or self.options.may_go_on()


def _move(segments: list[PlacedSegment], rng: random.Random) -> list[PlacedSegment] | None:
    """Take out one to three segments in a row, mostly one, and put them in elsewhere."""
    if len(segments) < 2:
        return None
    first = rng.randrange(len(segments))
    end = min(len(segments), first + rng.choice((1, 1, 2, 3)))
    rest = segments[:first] + segments[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + segments[first:end] + rest[place:]


def _swap_hosts(
    problem: Problem, segments: list[PlacedSegment], rng: random.Random
) -> list[PlacedSegment] | None:
    """Let two stages of equal speeds change hosts."""
    i, j = rng.randrange(len(segments)), rng.randrange(len(segments))
    a, b = (rng.randrange(len(segments[position].stages)) for position in (i, j))
    one, other = segments[i].stages[a], segments[j].stages[b]
    if i == j or one.host == other.host:
        return None
    if problem.kinds[one.kind].rates != problem.kinds[other.kind].rates:
        return None
    changed = list(segments)
    changed[i] = segments[i].with_stage(a, other)
    changed[j] = segments[j].with_stage(b, one)
    return changed
