"""The pool: placements of whole replicas for any objective to choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hexplan.engines import ENGINES
from hexplan_solver.flow.evaluate import Evaluated, evaluate_used
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.columns import Columns
from hexplan_solver.replicas.design import Design
from hexplan_solver.replicas.grids import uniform_replicas
from hexplan_solver.replicas.naming import named, together
from hexplan_solver.replicas.packing import Packing, Valued, packed
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import Family, families
from hexplan_solver.run import Run

LEAST_S = 0.05
"""Seconds that a MILP gets at least."""
Stages = tuple[PlacedStage, ...]
Value = Callable[[Design], float]
"""What one replica of a design is worth."""


def is_of_replicas(problem: Problem) -> bool:
    """Say whether the engine of a spec runs whole replicas alone."""
    return ENGINES[problem.spec.cluster.limits.engine].whole_replicas


def replica_pool(run: Run, problem: Problem, value: Value | None = None) -> list[Evaluated]:
    """Return placements of whole replicas with a flow: the largest first, then the shallower ones.

    Uniform ones that the engine runs are among them.

    Parameters
    ----------
    value
        What a replica is worth beside its flow, such as its served rate: packings by it come, too.
    """
    found = packings(run, problem, families(problem), value)
    num_stages = 0
    for evaluated in uniform_replicas(problem):
        found.setdefault(evaluated.placement.stages, evaluated)
        num_stages += len(evaluated.placement)
        if num_stages > REPLICA_PARAMS.grid_stages or run.left_s <= 0:
            break
    return sorted(found.values(), key=lambda one: -one.value)


def packings(
    run: Run, problem: Problem, of: Sequence[Family], value: Value | None, *, is_hasty: bool = False
) -> dict[Stages, Evaluated]:
    """Return packings of replicas of some families that carry a flow, by their stages.

    Parameters
    ----------
    is_hasty
        Whether fewer designs will do, as they are starts of another search.
    """
    until = run.elapsed_s + run.left_s * REPLICA_PARAMS.pricing_share
    columns = Columns(problem, of, lambda: run.elapsed_s < until)
    columns.find(is_hasty=is_hasty)
    run.tell("replicas", None)
    found: dict[Stages, Evaluated] = {}
    for choice in _choices(columns.designs, value):
        seconds = min(REPLICA_PARAMS.milp_s, run.left_s * REPLICA_PARAMS.milp_share)
        for counts_links in (True, False) if problem.has_trunks else (False,):
            packing = Packing(max(seconds, LEAST_S), counts_links)
            designs = packed(columns.supply, choice, run.options, packing)
            evaluated = evaluate_used(problem, together(named(problem, designs)))
            if evaluated.value:
                found.setdefault(evaluated.placement.stages, evaluated)
                run.tell("replicas", None)
        if found and run.left_s <= 0:
            break
    return found


def _choices(designs: Sequence[Design], value: Value | None) -> Iterator[list[Valued]]:
    """Yield sets of designs to pack: all of them, then those of few stages, by flow and by value.

    Deep replicas pass more, and shallow ones answer sooner.
    """
    by_flow = [Valued(design, design.tokens_per_s) for design in designs]
    valued = [Valued(design, value(design)) for design in designs] if value is not None else []
    last = -1
    for most in (None, *reversed(REPLICA_PARAMS.depths)):
        kept = [one for one in by_flow if most is None or len(one.design.seats) <= most]
        if len(kept) not in (0, last):
            yield kept
            of_value = [one for one in valued if most is None or len(one.design.seats) <= most]
            if of_value:
                yield of_value
        last = len(kept)
