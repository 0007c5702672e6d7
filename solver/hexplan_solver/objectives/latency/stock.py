"""What is left of each host while chains take devices from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hexplan.cluster import Cluster
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.partitions import Group


@dataclass(frozen=True, slots=True)
class HostStock:
    """Devices of one host that no stage has taken yet."""

    types: Group
    """Types of all devices of the host, in its own order."""
    free: tuple[int, ...]
    """Devices that may be grouped freely."""
    tied: tuple[tuple[int, ...], ...]
    """Devices that the user tied into one stage each."""

    @property
    def signature(self) -> tuple[Group, tuple[Group, ...]]:
        """What is left, whichever devices it is: equal for hosts that can form the same stages."""
        tied = sorted(self._types_of(devices) for devices in self.tied)
        return self._types_of(self.free), tuple(tied)

    def take(self, group: Group) -> tuple[int, ...] | None:
        """Return devices for a group, those that are tied first; None if there are too few."""
        for devices in self.tied:
            if self._types_of(devices) == group:
                return tuple(sorted(devices, key=lambda d: (self.types[d], d)))
        left, taken = list(self.free), []
        for name in group:
            device = next((d for d in left if self.types[d] == name), None)
            if device is None:
                return None
            left.remove(device)
            taken.append(device)
        return tuple(taken)

    def without(self, devices: tuple[int, ...]) -> HostStock:
        """Return what is left once a stage has taken some devices."""
        gone = set(devices)
        tied = tuple(group for group in self.tied if not gone & set(group))
        return HostStock(self.types, tuple(d for d in self.free if d not in gone), tied)

    def _types_of(self, devices: tuple[int, ...]) -> Group:
        return tuple(sorted(self.types[d] for d in devices))


Stocks = Mapping[str, HostStock]
"""What is left of every host, by name."""


def whole_stocks(cluster: Cluster) -> dict[str, HostStock]:
    """Return every host with all devices that may serve."""
    found = {}
    for host in cluster.hosts:
        tied = tuple(pin.devices for pin in cluster.group_pins if pin.host == host.name)
        bound = {device for devices in tied for device in devices}
        free = tuple(
            d
            for d in range(len(host.devices))
            if d not in bound and not cluster.is_excluded(host.name, d)
        )
        found[host.name] = HostStock(host.devices, free, tied)
    return found


def without(stocks: Stocks, stages: tuple[PlacedStage, ...]) -> dict[str, HostStock]:
    """Return what is left once some stages have taken their devices."""
    left = dict(stocks)
    for stage in stages:
        left[stage.host] = left[stage.host].without(stage.devices)
    return left
