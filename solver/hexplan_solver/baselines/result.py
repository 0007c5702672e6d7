"""What a published method comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hexplan.errors import LimitReached
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


@dataclass(frozen=True, slots=True)
class MethodResult:
    """A placement, and what the method says about it."""

    placement: Placement
    status: str = "heuristic"


PlacementMethod = Callable[[Run, Problem], MethodResult]
"""How a method places the layers; raises LimitReached where it cannot."""


def result_of(stages: Iterable[PlacedStage]) -> MethodResult:
    """Return the result of a method that proves nothing."""
    return MethodResult(Placement.of(stages))


def give_up(why: str) -> LimitReached:
    """Return the error of a method that has no placement for a cluster."""
    return LimitReached(
        f"this method has no placement here: {why}", hint="`--method hexplan` looks for any"
    )
