"""Whether any route exists, by trying every chain of stages, pins and exclusions included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from support.brute_links import Group, Speeds, width

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.host import Host
from hexplan.spec import Spec

Used = frozenset[tuple[str, int]]
"""Devices, each as its host and its index."""


class TooMany(Exception):
    """There are more chains than the test has time for."""


def has_route(spec: Spec, max_steps: int) -> bool:
    """Say whether some placement that obeys the pins passes anything.

    Raises
    ------
    TooMany
        If that takes more steps.
    """
    return _Search(spec, max_steps).found()


class _Search:
    def __init__(self, spec: Spec, max_steps: int) -> None:
        self._spec = spec
        self._steps_left = max_steps
        self._pins = {pin.host: pin.layers for pin in spec.cluster.layer_pins}
        speeds = Speeds(spec)
        self._ends: dict[tuple[str, Group], set[tuple[int, int]]] = {}
        for host in spec.cluster.hosts:
            for group in _groups(spec.cluster, host):
                held = {stage.layers for stage in speeds.stages(host, group)}
                pin = self._pins.get(host.name)
                self._ends[host.name, group] = held & {pin} if pin else held
        self._dead: set[tuple[str, int, Used]] = set()

    def found(self) -> bool:
        """Say whether every pinned host can serve, and a chain of stages covers all layers."""
        able = {host for (host, _), ranges in self._ends.items() if ranges}
        return set(self._pins) <= able and self._goes_on(COORDINATOR, 0, frozenset())

    def _goes_on(self, last: str, layer: int, used: Used) -> bool:
        if layer == self._spec.model.layers:
            return width(self._spec, last, COORDINATOR) > 0
        if (last, layer, used) in self._dead:
            return False
        self._steps_left -= 1
        if self._steps_left < 0:
            raise TooMany
        for host, end, group in self._nexts(last, layer, used):
            if self._goes_on(host, end, used | {(host, device) for device in group}):
                return True
        self._dead.add((last, layer, used))
        return False

    def _nexts(self, last: str, layer: int, used: Used) -> Iterator[tuple[str, int, Group]]:
        for (host, group), ranges in self._ends.items():
            if any((host, device) in used for device in group):
                continue
            if width(self._spec, last, host) > 0:
                ends = {end for first, end in ranges if first <= layer < end}
                yield from ((host, end, group) for end in sorted(ends, reverse=True))


def _groups(cluster: Cluster, host: Host) -> list[Group]:
    """List the groups that a host can form, those whole that the user tied."""
    tied = [pin.devices for pin in cluster.group_pins if pin.host == host.name]
    bound = {device for devices in tied for device in devices}
    loose = [
        index
        for index in range(len(host.devices))
        if index not in bound and not cluster.is_excluded(host.name, index)
    ]
    return [*(tuple(devices) for devices in tied), *_subsets(loose)]


def _subsets(devices: Sequence[int]) -> Iterator[Group]:
    for size in range(1, len(devices) + 1):
        yield from combinations(devices, size)
