"""Stocks: like devices of one host, from which tensor-parallel groups of any degree are taken."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.host import Host
from hexplan_solver.baselines.machines import steady_speeds
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, StageKind


@dataclass(frozen=True, slots=True)
class Stock:
    """The devices of one type of one host that may serve."""

    host: Host
    device_type: str
    devices: tuple[int, ...]
    """Device indices on the host."""
    groups: tuple[tuple[int, StageKind, int], ...]
    """What can be taken: (degree, kind, most layers), by rising degree."""

    @property
    def degrees(self) -> tuple[int, ...]:
        """Sizes of groups that can hold a layer."""
        return tuple(degree for degree, _, _ in self.groups)

    def kind(self, degree: int) -> StageKind:
        """Return the kind of the groups of a degree."""
        return next(kind for size, kind, _ in self.groups if size == degree)

    def max_layers(self, degree: int) -> int:
        """Return the most layers that a group of a degree holds."""
        return next((most for size, _, most in self.groups if size == degree), 0)

    def stage(self, taken: int, degree: int, layers: tuple[int, int]) -> PlacedStage:
        """Return a stage on the next `degree` devices after the first `taken`."""
        kind = self.kind(degree)
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


def _groups(
    problem: Problem, host_class: int | None, name: str
) -> tuple[tuple[int, StageKind, int], ...]:
    found = [
        (len(kind.group), kind, len(steady_speeds(kind.rates)) - 1)
        for kind in problem.kinds
        if kind.host_class == host_class and set(kind.group) == {name}
    ]
    return tuple(sorted((group for group in found if group[2]), key=lambda group: group[0]))
