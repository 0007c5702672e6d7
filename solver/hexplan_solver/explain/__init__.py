"""From a plan to the reasons for it: what limits it, and what would change that."""

from hexplan_solver.explain.recipe import explain

__all__ = ["explain"]
