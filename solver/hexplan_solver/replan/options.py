"""The settings of a replan."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from hexplan_solver.options import SolveOptions


@dataclass(frozen=True, slots=True)
class ReplanOptions:
    """How to replan."""

    routes_only: bool = False
    """Whether no weight may move."""
    max_loss: Decimal = Decimal("0.05")
    """The share of the largest flow found that may be given up to move fewer bytes."""
    search: SolveOptions = field(default_factory=SolveOptions)
    """How to search; its time limit holds for the replan as a whole."""
