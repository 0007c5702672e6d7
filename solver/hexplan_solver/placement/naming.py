"""From counts of kinds to names: which devices of which host form each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.placement.stage_counts import StageCounts
from hexplan_solver.problem.partitions import Group
from hexplan_solver.problem.problem import Partition, Problem


def place(problem: Problem, counts: StageCounts) -> Placement:
    """Give every stage its devices, on one host for stages of neighbouring layers where possible.

    Hosts of a class are interchangeable, so they are taken in the order of the spec.
    """
    slots: dict[int, list[tuple[str, tuple[int, ...]]]] = defaultdict(list)
    for host_class, num_hosts in zip(problem.classes, counts.partitioned, strict=True):
        hosts = iter(host_class.hosts)
        for partition, count in zip(host_class.partitions, num_hosts, strict=True):
            for _ in range(count):
                host = next(hosts)
                for kind, devices in group_devices(problem, host, partition):
                    slots[kind].append((host, devices))
    stages = []
    for column in sorted(counts.stages, key=lambda c: (c.layers, c.kind)):
        rate = problem.kinds[column.kind].rates.of(*column.layers)
        for _ in range(column.count):
            host, devices = slots[column.kind].pop(0)
            stages.append(PlacedStage(column.layers, host, devices, column.kind, rate))
    return Placement.of(stages)


def group_devices(
    problem: Problem, host: str, partition: Partition
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the devices of each group of one host's partition, pinned groups first."""
    cluster = problem.spec.cluster
    types = cluster.host_by_name[host].devices
    pinned: dict[Group, list[tuple[int, ...]]] = defaultdict(list)
    for pin in cluster.group_pins:
        if pin.host == host:
            by_type = tuple(sorted(pin.devices, key=lambda d: (types[d], d)))
            pinned[tuple(types[d] for d in by_type)].append(by_type)
    tied = {device for groups in pinned.values() for group in groups for device in group}
    free = [
        device
        for device in range(len(types))
        if device not in tied and not cluster.is_excluded(host, device)
    ]
    for kind, count in partition:
        group = problem.kinds[kind].group
        for _ in range(count):
            if pinned[group]:
                yield kind, pinned[group].pop(0)
            else:
                yield kind, tuple(_take(free, types, name) for name in group)


def _take(free: list[int], types: tuple[str, ...], name: str) -> int:
    device = next(device for device in free if types[device] == name)
    free.remove(device)
    return device
