"""Separate pipelines, one for each type of machine: a layout that Helix compares itself with.

If the machines of a type can hold the model together, they share its layers evenly. The machines of
the other types fill one pipeline after the other, strongest type first; when one type runs out, the
next goes on. This is what Helix's code for "homogeneous" layouts does.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hexplan_solver.baselines.machines import BaselineMachine, chain, machines_of
from hexplan_solver.baselines.result import MethodResult, give_up, result_of
from hexplan_solver.baselines.swarm import even_ranges
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


def place_separate(run: Run, problem: Problem) -> MethodResult:
    """Build a pipeline of each type that holds the model, and mixed ones of the other types."""
    by_type: dict[tuple[str, ...], list[BaselineMachine]] = defaultdict(list)
    for machine in machines_of(problem):
        by_type[machine.type].append(machine)
    types = sorted(by_type.values(), key=_strength, reverse=True)
    total = problem.num_layers
    whole = [alike for alike in types if _holds(alike, total)]
    short = [alike for alike in types if not _holds(alike, total)]
    rng = random.Random(run.options.seed)  # noqa: S311 - an order, not a secret
    for alike in short:
        rng.shuffle(alike)
    stages = [stage for alike in whole for stage in _even_pipeline(alike, total)]
    stages += _filled_pipelines((machine for alike in short for machine in alike), total)
    if not stages:
        raise give_up("all machines together hold less than the model")
    return result_of(stages)


def _strength(alike: Sequence[BaselineMachine]) -> int:
    """Return the layers of one machine of a type times its speed, when it holds all it can."""
    return alike[0].speeds[-1] * alike[0].max_layers


def _holds(alike: Sequence[BaselineMachine], num_layers: int) -> bool:
    return sum(machine.max_layers for machine in alike) >= num_layers


def _even_pipeline(alike: Sequence[BaselineMachine], num_layers: int) -> Iterator[PlacedStage]:
    used = alike[:num_layers]
    for machine, layers in zip(used, even_ranges(num_layers, len(used)), strict=True):
        yield machine.stage(*layers)


def _filled_pipelines(machines: Iterable[BaselineMachine], num_layers: int) -> list[PlacedStage]:
    """Fill each machine with layers until a pipeline is whole; leave out a last one that is not."""
    whole: list[PlacedStage] = []
    pipeline: list[tuple[BaselineMachine, int]] = []
    for machine in machines:
        held = sum(count for _, count in pipeline)
        pipeline.append((machine, min(machine.max_layers, num_layers - held)))
        if held + pipeline[-1][1] == num_layers:
            whole += chain(*zip(*pipeline, strict=True))
            pipeline = []
    return whole
