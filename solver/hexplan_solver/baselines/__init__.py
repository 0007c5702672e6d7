"""Published placement methods, re-implemented to compare with (docs/baselines.md)."""

from hexplan_solver.baselines.door import BASELINES, solve_baseline

__all__ = ["BASELINES", "solve_baseline"]
