"""The variables of Helix's MILP, and what their values mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulp

from hexplan.field_types import Range
from hexplan_solver.baselines.helix.links import HelixLink
from hexplan_solver.baselines.helix.start import HelixStart
from hexplan_solver.baselines.machines import BaselineMachine
from hexplan_solver.flow.network import OUTSIDE


@dataclass(frozen=True, slots=True)
class HelixModel:
    """The MILP and its variables; rows are added by `rows`."""

    model: pulp.LpProblem
    num_layers: int
    start: tuple[pulp.LpVariable, ...]
    """First layer of each machine."""
    hold: tuple[tuple[pulp.LpVariable, ...], ...]
    """Binaries of each machine by layers held, from 1."""
    flow: dict[HelixLink, pulp.LpVariable]
    """Tokens/s on each link."""
    switch: dict[HelixLink, pulp.LpVariable]
    """Whether a link may carry anything."""
    enters: dict[HelixLink, pulp.LpVariable]
    """Whether the target begins no later than the source ends; only for links between machines."""
    fits: dict[HelixLink, pulp.LpVariable]
    """Whether the target ends after the source; only for links between machines."""

    @property
    def entry(self) -> list[HelixLink]:
        """The links from entry."""
        return [link for link in self.flow if link.source == OUTSIDE]

    def end(self, position: int) -> pulp.LpAffineExpression:
        """Return the end of a machine's layers, s_i + sum of k hold_ik."""
        held = pulp.lpSum(k * hold for k, hold in enumerate(self.hold[position], 1))
        return self.start[position] + held

    def ranges_of(self, values: dict[str, float]) -> list[Range]:
        """Return the layers of each machine at a solution."""
        firsts = [round(values[start.name]) for start in self.start]
        counts = [
            next(k for k, hold in enumerate(holds, 1) if values[hold.name] > 0.5)
            for holds in self.hold
        ]
        return [(first, first + k) for first, k in zip(firsts, counts, strict=True)]

    def values_of(self, start: HelixStart) -> dict[str, float]:
        """Return the value of every variable at a starting solution."""
        values: dict[str, float] = {}
        for position, (first, end) in enumerate(start.ranges):
            values[self.start[position].name] = first
            for k, hold in enumerate(self.hold[position], 1):
                values[hold.name] = float(k == end - first)
        for link, flow in self.flow.items():
            enters, fits = ends_meet(link, start.ranges, self.num_layers)
            values[flow.name] = start.flow.get((link.source, link.target), 0.0)
            values[self.switch[link].name] = float(enters and fits)
            if link in self.enters:
                values[self.enters[link].name] = float(enters)
                values[self.fits[link].name] = float(fits)
        return values


def ends_meet(link: HelixLink, ranges: Sequence[Range], num_layers: int) -> tuple[bool, bool]:
    """Say whether a link's target begins in time, and whether it ends later.

    A link is valid if both hold.
    """
    if link.source == OUTSIDE:
        return True, ranges[link.target][0] == 0
    end = ranges[link.source][1]
    if link.target == OUTSIDE:
        return True, end == num_layers
    return ranges[link.target][0] <= end, end < ranges[link.target][1]


def helix_model(
    num_layers: int, machines: Sequence[BaselineMachine], links: Sequence[HelixLink]
) -> HelixModel:
    """Return a MILP with its variables and without rows."""
    model = pulp.LpProblem("helix", pulp.LpMaximize)
    inner = [link for link in links if OUTSIDE not in (link.source, link.target)]

    def integer(name: str, most: int = 1) -> pulp.LpVariable:
        return model.add_variable(name, 0, most, pulp.LpInteger)

    return HelixModel(
        model,
        num_layers,
        tuple(integer(f"start_{m.position}", num_layers - 1) for m in machines),
        tuple(
            tuple(integer(f"hold_{m.position}_{k}") for k in range(1, m.max_layers + 1))
            for m in machines
        ),
        {link: model.add_variable(f"flow_{link.name}", 0, link.tokens_per_s) for link in links},
        {link: integer(f"switch_{link.name}") for link in links},
        {link: integer(f"enters_{link.name}") for link in inner},
        {link: integer(f"fits_{link.name}") for link in inner},
    )
