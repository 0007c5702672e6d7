"""What a baseline comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hexplan.errors import LimitReached
from hexplan_solver.flow.network import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


@dataclass(frozen=True, slots=True)
class Layout:
    """A placement, and what the method says about it."""

    stages: tuple[PlacedStage, ...]
    status: str = "heuristic"


Recipe = Callable[[Run, Problem], Layout]
"""How a method places the layers; raises LimitReached where it can't."""


def layout_of(stages: Iterable[PlacedStage]) -> Layout:
    """Return the layout of a method that proves nothing."""
    return Layout(tuple(stages))


def give_up(why: str) -> LimitReached:
    """Return the error of a method that has no placement for a cluster."""
    return LimitReached(
        f"this method has no placement here: {why}", hint="`--method hexplan` looks for any"
    )
