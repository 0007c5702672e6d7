"""From a spec to a plan: `solve`, and from a plan onwards: `replan` and `explain`."""

from hexplan_solver.explain import explain
from hexplan_solver.options import Progress, Report, SolveOptions
from hexplan_solver.replan import ReplanOptions, replan
from hexplan_solver.solve import METHODS, solve

__all__ = [
    "METHODS",
    "Progress",
    "ReplanOptions",
    "Report",
    "SolveOptions",
    "explain",
    "replan",
    "solve",
]
