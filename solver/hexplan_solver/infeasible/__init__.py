"""Why no plan exists: proved, in the user's words, and with nothing named that is not needed."""

from hexplan_solver.infeasible.explain import explain_infeasible
from hexplan_solver.infeasible.room import refuse_if_infeasible

__all__ = ["explain_infeasible", "refuse_if_infeasible"]
