"""From a spec to a plan: `solve_by` and those that it chooses from, `replan` and `explain`."""

from hexplan_solver.explain import explain
from hexplan_solver.methods import METHODS, solve_by
from hexplan_solver.objectives import solve_for
from hexplan_solver.objectives.throughput import solve
from hexplan_solver.options import Progress, Report, SolveOptions
from hexplan_solver.replan import ReplanOptions, replan

__all__ = [
    "METHODS",
    "Progress",
    "ReplanOptions",
    "Report",
    "SolveOptions",
    "explain",
    "replan",
    "solve",
    "solve_by",
    "solve_for",
]
