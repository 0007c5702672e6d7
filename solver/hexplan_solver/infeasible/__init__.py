"""Why no plan exists: a proved and minimal reason, in the user's words."""

from hexplan_solver.infeasible.capacity import refuse_if_infeasible
from hexplan_solver.infeasible.explain import explain_infeasible

__all__ = ["explain_infeasible", "refuse_if_infeasible"]
