"""Candidates of a replan: evaluated placements, with the bytes that they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.flow.evaluate import Evaluated, evaluate_used
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.replan.movement import Movement


@dataclass(frozen=True, slots=True)
class ReplanCandidate:
    """A placement with its flow, and the bytes that it moves."""

    evaluated: Evaluated
    moved_bytes: int

    @property
    def placement(self) -> Placement:
        """Its stages, sorted."""
        return self.evaluated.placement

    @property
    def value(self) -> int:
        """Its flow in 1e-6 tokens/s."""
        return self.evaluated.value


def candidate_of(movement: Movement, stages: Sequence[PlacedStage]) -> ReplanCandidate:
    """Compute the flow and the moved bytes of a placement without its idle stages."""
    found = evaluate_used(movement.problem, stages)
    return ReplanCandidate(found, movement.total(found.placement))
