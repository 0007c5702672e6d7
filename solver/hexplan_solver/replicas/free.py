"""Whole replicas on clusters whose engine runs every plan: placements for any search to start from.

What they lack in flow they may gain in room for KV caches, and in steps that no request of another
replica waits for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from hexplan_solver.flow.apart import evaluated_apart
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.options import be_silent
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import any_families
from hexplan_solver.replicas.pool import Value, is_of_replicas, packings, replica_pool
from hexplan_solver.run import Run
from hexplan_solver.start.slices import num_devices

LIMITED = "vllm"
"""An engine of whole replicas: which one does not matter to their network."""


def whole_replicas(run: Run, problem: Problem) -> list[Evaluated]:
    """Return placements of whole replicas, the largest flow first, whatever the engine runs."""
    return replica_pool(run, problem) if is_of_replicas(problem) else free_replicas(run, problem)


def free_replicas(run: Run, problem: Problem) -> list[Evaluated]:
    """Return packings of whole replicas, with routes that may change over, the largest flow first.

    There are none where the layers of a host are pinned, nor on clusters of more than
    `REPLICA_PARAMS.most_devices`: their designs alone would take longer than the rest of a search.
    """
    found = [freed(problem, one) for one in apart_replicas(run, problem)]
    return sorted((one for one in found if one.value), key=lambda one: -one.value)


def apart_replicas(run: Run, problem: Problem, value: Value | None = None) -> list[Evaluated]:
    """Return packings of whole replicas whose requests stay within them."""
    if problem.is_pinned or num_devices(problem) > REPLICA_PARAMS.most_devices or not run.left_s:
        return []
    nested = Run(problem.spec, run.nested(run.left_s * REPLICA_PARAMS.free_share), be_silent)
    families = any_families(problem)
    return list(packings(nested, as_limited(problem), families, value, is_hasty=True).values())


def as_limited(problem: Problem) -> Problem:
    """Return a problem in whose networks requests stay within their replica."""
    cluster = problem.spec.cluster
    limits = cluster.limits.model_copy(update={"engine": LIMITED})
    limited = cluster.model_copy(update={"limits": limits})
    return replace(problem, spec=replace(problem.spec, cluster=limited))


def freed(problem: Problem, found: Evaluated) -> Evaluated:
    """Return whole replicas as a placement of a problem that lets requests change over."""
    replicas: dict[int, list[PlacedStage]] = defaultdict(list)
    for stage in found.placement:
        replicas[stage.replica].append(replace(stage, replica=-1))
    return evaluated_apart(problem, [tuple(stages) for stages in replicas.values()])
