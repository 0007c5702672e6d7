"""Uniform placements as replicas: what people run without a planner, where the engine runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise

from hexplan.engines import ENGINES, Engine, splits_tensors
from hexplan_solver.baselines.swarm import even_ranges
from hexplan_solver.flow.evaluate import Evaluated, evaluate_used
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.naming import Named, together
from hexplan_solver.start.uniform import uniform_placements


def uniform_replicas(problem: Problem) -> Iterator[Evaluated]:
    """Yield every TP x PP x DP that carries a flow, without the pipelines that the engine lacks."""
    engine = ENGINES[problem.spec.cluster.limits.engine]
    for grid in uniform_placements(as_free(problem)):
        fitting = [pipeline for pipeline in grid.pipelines if runs(problem, engine, pipeline)]
        found = evaluate_used(problem, together(fitting))
        if found.value:
            yield found


def uniform_grids(problem: Problem) -> Iterator[Evaluated]:
    """Yield every TP x PP x DP that carries a flow, of those that the engine of the spec runs."""
    if ENGINES[problem.spec.cluster.limits.engine].whole_replicas:
        yield from uniform_replicas(problem)
    else:
        yield from (grid.evaluated for grid in uniform_placements(problem))


def is_grid(found: Evaluated) -> bool:
    """Say whether a placement is uniform: stages of one degree that share the layers evenly."""
    ranges = sorted({stage.layers for stage in found.placement})
    degrees = {len(stage.devices) for stage in found.placement}
    return len(degrees) == 1 and ranges == even_ranges(found.problem.num_layers, len(ranges))


def as_free(problem: Problem) -> Problem:
    """Return the problem for the engine that runs every plan."""
    cluster = problem.spec.cluster
    limits = cluster.limits.model_copy(update={"engine": "hexplan"})
    free = cluster.model_copy(update={"limits": limits})
    return replace(problem, spec=replace(problem.spec, cluster=free))


def runs(problem: Problem, engine: Engine, pipeline: Named) -> bool:
    """Say whether an engine runs a pipeline of stages of one degree, each of like devices."""
    if engine.star_of_hosts:
        return _is_star(problem, engine, pipeline)
    degree = len(pipeline[0].devices)
    if problem.spec.model.as_held_by(degree).kv_heads % degree:
        return False
    machines = [m for stage in pipeline for m in _machines(problem, stage)]
    visits = [(name, len(list(ranks))) for name, ranks in groupby(machines)]
    is_once = len({name for name, _ in visits}) == len(visits)
    kinds = {kind for stage in pipeline for kind in _kinds_of_devices(problem, stage)}
    return is_once and len({count for _, count in visits}) == 1 and len(kinds) == 1


def _is_star(problem: Problem, engine: Engine, pipeline: Named) -> bool:
    """Say whether it is one stage on one machine, or single devices around a main host."""
    if len(pipeline[0].devices) > 1:
        is_one = len(pipeline) == 1 and len(set(_machines(problem, pipeline[0]))) == 1
        degree = len(pipeline[0].devices)
        return is_one and splits_tensors(problem.spec.model, engine, degree)
    main = pipeline[-1].host
    pairs = pairwise(stage.host for stage in pipeline)
    return all(one == other or main in (one, other) for one, other in pairs)


def _machines(problem: Problem, stage: PlacedStage) -> Iterator[str]:
    host = problem.spec.cluster.host_by_name[stage.host]
    yield from (host.slots[device][0] for device in stage.devices)


def _kinds_of_devices(problem: Problem, stage: PlacedStage) -> Iterator[str]:
    cluster = problem.spec.cluster
    types = cluster.host_by_name[stage.host].devices
    yield from (cluster.device_type_by_name[types[device]].kind for device in stage.devices)
