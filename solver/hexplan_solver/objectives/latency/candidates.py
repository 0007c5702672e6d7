"""Placements that may make requests fast at a rate: uniform grids, and chains side by side.

Each uses as many devices of a host as it needs, and leaves the others out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product

from hexplan_solver.flow.evaluate import Evaluated, evaluate_used
from hexplan_solver.objectives.latency.chains import ChainSearch
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.routed import Routed, faster_of, routed
from hexplan_solver.objectives.latency.stock import whole_stocks, without
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.start.uniform import Uniform, side_by_side, uniform_placements

GoesOn = Callable[[], bool]
"""Says whether there is time for one more candidate."""


def grids(problem: Problem, needed: int, goes_on: GoesOn) -> Iterator[Evaluated]:
    """Yield the uniform placements, and the most promising ones of each type side by side.

    Parameters
    ----------
    needed
        The flow to carry, in 1e-6 tokens/s.
    """
    by_type: dict[tuple[str, ...], list[Uniform]] = defaultdict(list)
    for grid in uniform_placements(problem):
        if not goes_on():
            return
        few = _fewer(problem, grid, needed)
        yield few.evaluated
        if len(grid.device_types) == 1:
            by_type[grid.device_types].append(few)
    if len(by_type) > 1:
        # The wider the stages and the fewer of them, the faster is a request alone.
        fastest = [
            sorted(some, key=lambda grid: (grid.num_stages, -grid.degree))[: LATENCY_PARAMS.grids]
            for some in by_type.values()
        ]
        for choice in product(*fastest):
            if not goes_on():
                return
            yield side_by_side(problem, choice)


def _fewer(problem: Problem, grid: Uniform, needed: int) -> Uniform:
    """Leave out pipelines far beyond those that carry the rate: they bring next to nothing."""
    params = LATENCY_PARAMS
    carrying = -(-needed * len(grid.pipelines) // max(1, grid.evaluated.value))
    kept = max(params.most_chains // grid.num_stages, params.spare * carrying)
    return grid if len(grid.pipelines) <= kept else grid.first(problem, kept)


def chains(problem: Problem, needed: int, goes_on: GoesOn) -> Iterator[Routed]:
    """Yield chains side by side that carry a rate, for each load of a chain.

    The fastest chain comes first; then the fastest of what it has left, and so on, until another
    one shortens a request no further.
    """
    whole = whole_stocks(problem.spec.cluster)
    for load in LATENCY_PARAMS.loads:
        search = ChainSearch(problem, int(needed * load))
        stages: tuple[PlacedStage, ...] = ()
        best: Routed | None = None
        for _ in range(LATENCY_PARAMS.most_chains):
            found: Routed | None = None
            longer: tuple[PlacedStage, ...] = ()
            for chain in search.fastest(without(whole, stages)):
                if not goes_on():
                    return
                longer = longer or chain
                more = routed(evaluate_used(problem, (*stages, *chain)), needed)
                if more is not None and faster_of(found, more) is more:
                    found, longer = more, chain
            if not longer or (best is not None and faster_of(best, found) is best):
                break
            stages, best = (*stages, *longer), found
            if best is not None:
                yield best
