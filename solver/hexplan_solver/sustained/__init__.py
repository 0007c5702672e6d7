"""Served rate: what a plan sustains, and the plan that sustains most.

`served_rate` is the formula, `with_sustained` writes it into a plan, and `solve_sustained` is the
recipe of the objective (docs/formulation.md, "Served rate").
"""

from hexplan_solver.sustained.figures import with_sustained
from hexplan_solver.sustained.recipe import solve_sustained
from hexplan_solver.sustained.served import ServedRate, served_rate
from hexplan_solver.sustained.step_limits import widest, with_step_limits

__all__ = [
    "ServedRate",
    "served_rate",
    "solve_sustained",
    "widest",
    "with_step_limits",
    "with_sustained",
]
