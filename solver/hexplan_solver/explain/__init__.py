"""From a plan to the reasons for it: what limits it, and what would change that."""

from hexplan_solver.explain.explain import explain

__all__ = ["explain"]
