"""Replans: plans for a changed spec that move few weights, or none."""

from hexplan_solver.replan.loss import HostOrDevice, Loss, changed, without
from hexplan_solver.replan.options import ReplanOptions
from hexplan_solver.replan.replan import Replanned, replan

__all__ = ["Loss", "ReplanOptions", "Replanned", "HostOrDevice", "changed", "replan", "without"]
