"""SWARM: stages of equal layers, each served by about the same speed (Ryabinin et al., 2023).

This follows Helix's re-implementation for its comparison (Mei et al., ASPLOS 2025): there are as
few stages as the smallest machine allows, and each machine, strongest first, joins the weakest
stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hexplan.field_types import Range
from hexplan_solver.baselines.machines import BaselineMachine, machines_of
from hexplan_solver.baselines.result import MethodResult, give_up, result_of
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


def place_swarm(run: Run, problem: Problem) -> MethodResult:
    """Spread the machines over stages of equal layers, so that all are about equally strong."""
    ranges, able = _stages(machines_of(problem), problem.num_layers)
    widest = max(end - first for first, end in ranges)
    strength = [0] * len(ranges)
    stages = []
    for machine in sorted(able, key=lambda m: (m.speeds[widest], m.position), reverse=True):
        weakest = strength.index(min(strength))
        strength[weakest] += machine.speeds[widest]
        stages.append(machine.stage(*ranges[weakest]))
    return result_of(stages)


def _stages(
    machines: Sequence[BaselineMachine], num_layers: int
) -> tuple[list[Range], list[BaselineMachine]]:
    """Choose the fewest stages that every machine can hold, or else that enough machines can."""
    for all_serve in (True, False):
        for count in _counts(num_layers):
            widest = -(-num_layers // count)
            able = [m for m in machines if m.max_layers >= widest]
            if len(able) >= count and (len(able) == len(machines) or not all_serve):
                return even_ranges(num_layers, count), able
    raise give_up("there are fewer machines than stages of equal layers that they can hold")


def _counts(num_layers: int) -> Iterator[int]:
    """Yield numbers of stages: those that divide the layers evenly, then the others."""
    numbers = range(1, num_layers + 1)
    yield from (n for n in numbers if num_layers % n == 0)
    yield from (n for n in numbers if num_layers % n)


def even_ranges(num_layers: int, count: int) -> list[Range]:
    """Cut the layers into ranges that differ by one layer at most, the longer ones first."""
    size, longer = divmod(num_layers, count)
    ends = [i * size + min(i, longer) for i in range(count + 1)]
    return list(pairwise(ends))
