"""Layers in proportion to memory, in one chain: exo's "ring memory weighted" partitioning."""

from __future__ import annotations

from fractions import Fraction

from hexplan_solver.baselines.machines import chain, machines_of
from hexplan_solver.baselines.result import MethodResult, give_up, result_of
from hexplan_solver.baselines.waterfill import water_fill
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


def place_ram(run: Run, problem: Problem) -> MethodResult:
    """Take the fewest machines, largest memory first, on which the shares of the layers fit."""
    machines = sorted(machines_of(problem), key=lambda m: (-m.memory_bytes, m.position))
    total = problem.num_layers
    for count in range(1, len(machines) + 1):
        ring = machines[:count]
        memory = [Fraction(machine.memory_bytes) for machine in ring]
        shares = water_fill(total, memory, [total] * count)
        if shares and all(n <= m.max_layers for n, m in zip(shares, ring, strict=True)):
            return result_of(chain(ring, shares))
    raise give_up("shares in proportion to memory fit on no number of machines")
