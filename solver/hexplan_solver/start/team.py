"""A team: devices of one host that can form one stage."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.field_types import Range
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import StageKind


@dataclass(frozen=True, slots=True)
class Team:
    """Devices of one host that can form one stage."""

    host: str
    devices: tuple[int, ...]
    kind: StageKind

    @property
    def max_layers(self) -> int:
        """The most layers that it holds."""
        return self.kind.rates.max_layers

    def stage(self, layers: Range) -> PlacedStage:
        """Return the stage that it forms over some layers; its rate is 0 if it cannot hold them."""
        rate = self.kind.rates.of(*layers)
        return PlacedStage(layers, self.host, self.devices, self.kind.index, rate)
