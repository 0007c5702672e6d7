"""From a plan and a changed spec to a plan that moves few weights, or none."""

from hexplan_solver.replan.loss import Loss, Slot, changed, without
from hexplan_solver.replan.options import ReplanOptions
from hexplan_solver.replan.replan import Replanned, replan

__all__ = ["Loss", "ReplanOptions", "Replanned", "Slot", "changed", "replan", "without"]
