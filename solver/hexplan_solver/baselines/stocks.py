"""Stocks: the like devices of a host, from which tensor-parallel groups of any degree are taken."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.field_types import Range
from hexplan.host import Host
from hexplan_solver.baselines.machines import steady_speeds
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, StageKind


@dataclass(frozen=True, slots=True)
class StockGroup:
    """A tensor-parallel group that can be taken from a stock."""

    degree: int
    kind: StageKind
    max_layers: int
    """The most layers that it holds, wherever they lie."""


@dataclass(frozen=True, slots=True)
class Stock:
    """The devices of one type of one host that may serve."""

    host: Host
    device_type: str
    devices: tuple[int, ...]
    """Device indices on the host."""
    groups: tuple[StockGroup, ...]
    """What can be taken, by rising degree."""

    @property
    def degrees(self) -> tuple[int, ...]:
        """Sizes of groups that can hold a layer."""
        return tuple(group.degree for group in self.groups)

    def max_layers(self, degree: int) -> int:
        """Return the most layers that a group of a degree holds; 0 if none can be taken."""
        return next((group.max_layers for group in self.groups if group.degree == degree), 0)

    def stage(self, taken: int, degree: int, layers: Range) -> PlacedStage:
        """Return a stage on the next `degree` devices after the first `taken`."""
        kind = next(group.kind for group in self.groups if group.degree == degree)
        devices = self.devices[taken : taken + degree]
        return PlacedStage(layers, self.host.name, devices, kind.index, kind.rates.of(*layers))


def stocks_of(problem: Problem) -> list[Stock]:
    """List the stocks in the spec's order."""
    cluster = problem.spec.cluster
    classes = {name: i for i, c in enumerate(problem.classes) for name in c.hosts}
    found = []
    for host in cluster.hosts:
        for name in sorted(set(host.devices)):
            devices = tuple(
                index
                for index, other in enumerate(host.devices)
                if other == name and not cluster.is_excluded(host.name, index)
            )
            groups = _groups(problem, classes.get(host.name), name)
            if groups:
                found.append(Stock(host, name, devices, groups))
    return found


def _groups(problem: Problem, host_class: int | None, name: str) -> tuple[StockGroup, ...]:
    found = [
        StockGroup(len(kind.group), kind, len(steady_speeds(kind.rates)) - 1)
        for kind in problem.kinds
        if kind.host_class == host_class and set(kind.group) == {name}
    ]
    holding = (group for group in found if group.max_layers)
    return tuple(sorted(holding, key=lambda group: group.degree))
