"""From a spec to a plan: `solve` is the only door."""

from hexplan_solver.options import Progress, Report, SolveOptions
from hexplan_solver.solve import solve

__all__ = ["Progress", "Report", "SolveOptions", "solve"]
