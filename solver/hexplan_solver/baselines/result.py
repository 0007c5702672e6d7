"""The result of a published method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hexplan.errors import LimitReached
from hexplan_solver.budget import GoesOn, always
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


@dataclass(frozen=True, slots=True)
class MethodResult:
    """A placement, and what the method says about it.

    `status` is text, since methods word it themselves; it stands in the plan's certificate.
    """

    placement: Placement
    status: str = "heuristic"


QUICK_MACHINES = 64
"""With up to this many machines, one step of any method takes milliseconds."""

PlacementMethod = Callable[[Run, Problem], MethodResult]
"""A method that places the layers; it raises LimitReached if it has no placement."""


def time_for(run: Run, size: int) -> GoesOn:
    """Return what says whether a method's step on so many machines may go on.

    On few machines a step takes milliseconds, and is done even if the time is up.
    """
    return always if size <= QUICK_MACHINES else lambda: run.left_s > 0


def result_of(stages: Iterable[PlacedStage]) -> MethodResult:
    """Return the result of a method that proves nothing."""
    return MethodResult(Placement.of(stages))


def give_up(why: str) -> LimitReached:
    """Return the error of a method that has no placement for a cluster."""
    return LimitReached(
        f"this method has no placement here: {why}", hint="`--method hexplan` looks for any"
    )
