"""Objectives: what a plan is made for (docs/formulation.md 9); `solve_for` is the door."""

from hexplan_solver.objectives.dispatch import solve_for

__all__ = ["solve_for"]
