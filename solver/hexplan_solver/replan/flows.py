"""The exact flow of a placement that a replan considers."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.flow.network import Network, PlacedStage
from hexplan_solver.flow.routes import Flow


@dataclass(frozen=True, slots=True)
class Candidate:
    """A placement with its flow, and the bytes that it moves."""

    network: Network
    flow: Flow
    moved_bytes: int

    @property
    def stages(self) -> tuple[PlacedStage, ...]:
        """The placement."""
        return self.network.stages
