"""Pipelines that serve apart from each other, in a network that would let requests change over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hexplan.constants import MICRO
from hexplan_solver.flow.evaluate import Evaluated, evaluate, evaluate_used
from hexplan_solver.flow.network import Network
from hexplan_solver.flow.routes import Flow, Path
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem

Pipeline = tuple[PlacedStage, ...]
"""The stages of one pipeline, in the order of their layers."""


def evaluated_apart(problem: Problem, pipelines: Sequence[Pipeline]) -> Evaluated:
    """Evaluate pipelines that serve apart from each other, or with any routes if that passes more.

    The largest flow alone would leave out a stage where another, of fewer layers, has speed left.
    """
    found = evaluate(problem, [stage for pipeline in pipelines for stage in pipeline])
    if not found.value:
        return found
    network = found.network
    position = {stage: index for index, stage in enumerate(network.stages)}
    chains = [Path(tuple(position[stage] for stage in pipeline), 1) for pipeline in pipelines]
    paths = [replace(path, amount=_narrowest(network, path)) for path in chains]
    value = sum(path.amount for path in paths)
    is_cut = any(path.amount == 0 for path in paths)
    if is_cut or value < found.value or _overloads(network, paths):
        return evaluate_used(problem, found.placement)
    flow = Flow(value, tuple(sorted(paths, key=lambda p: (-p.amount, p.stages))), found.flow.cut)
    return replace(found, flow=flow)


def _narrowest(network: Network, path: Path) -> int:
    """Return what a pipeline passes alone; 0 where no link joins its stages."""
    arcs = [network.arc(*ends) for ends in path.arcs]
    speeds = [network.stages[stage].rate for stage in path.stages]
    return min(*speeds, *(arc.capacity if arc else 0 for arc in arcs))


def _overloads(network: Network, paths: Sequence[Path]) -> bool:
    """Say whether the pipelines together exceed a capacity that they share."""
    used: Counter[int] = Counter()
    for path in paths:
        for ends in path.arcs:
            arc = network.arc(*ends)
            if arc is not None:
                used.update({index: path.amount * arc.token_bytes for index in arc.shared})
    return any(used[i] > network.shared_limit(i) * MICRO for i in used)
