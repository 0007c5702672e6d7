"""Petals: each server takes the layers that are served least (Borzunov et al., 2023, appendix D).

This follows Helix's re-implementation for its comparison (Mei et al., ASPLOS 2025): machines join
in random order, and each holds as many layers as fit.
"""

from __future__ import annotations

import random

from hexplan_solver.baselines.machines import machines_of
from hexplan_solver.baselines.result import MethodResult, result_of
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


def place_petals(run: Run, problem: Problem) -> MethodResult:
    """Let machines join in an order drawn with the seed, each where the layers are served least."""
    joining = machines_of(problem)
    random.Random(run.options.seed).shuffle(joining)  # noqa: S311 - an order, not a secret
    served = [0] * problem.num_layers
    stages = []
    for machine in joining:
        held = machine.max_layers
        first = _least_served(served, held)
        for layer in range(first, first + held):
            served[layer] += machine.speeds[held]
        stages.append(machine.stage(first, first + held))
    return result_of(stages)


def _least_served(served: list[int], held: int) -> int:
    """Return the start of the window of layers that is served least.

    Windows are compared by their slowest layer, then by the next slowest, and so on.
    """
    starts = range(len(served) - held + 1)
    return min(starts, key=lambda first: sorted(served[first : first + held]))
