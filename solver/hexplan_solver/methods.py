"""The methods that place layers, by name: hexplan's own, and those it is compared with."""

from __future__ import annotations

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.baselines import BASELINES, solve_baseline
from hexplan_solver.objectives import solve_for
from hexplan_solver.options import Report, SolveOptions, be_silent

METHODS = ("hexplan", *BASELINES)
"""Names of all methods, hexplan's own first."""


def solve_by(
    method: str, spec: Spec, options: SolveOptions | None = None, report: Report = be_silent
) -> Plan:
    """Find a plan by a method; the errors are those of `solve_for` and `solve_baseline`."""
    if method == "hexplan":
        return solve_for(spec, options, report)
    return solve_baseline(method, spec, options, report)
