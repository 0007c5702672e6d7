"""The reasons for a plan: what limits it, and what would change that."""

from hexplan_solver.explain.explain import explain

__all__ = ["explain"]
