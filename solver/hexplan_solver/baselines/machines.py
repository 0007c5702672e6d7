"""Machines as the baselines see them: all like devices of one host are one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from hexplan.cost.memory import budget_bytes
from hexplan_solver.placement.naming import group_devices
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import HostClass, Problem, StageKind
from hexplan_solver.problem.rates import Rates


@dataclass(frozen=True, slots=True)
class BaselineMachine:
    """Devices of one host that form one stage, whichever layers it holds."""

    position: int
    """Place in the spec's order, by which a method breaks the last ties."""
    host: str
    devices: tuple[int, ...]
    kind: StageKind
    speeds: tuple[int, ...]
    """1e-6 tokens/s by the layers held, from 0 to the most it can hold."""
    memory_bytes: int
    """What its devices may use, all together."""
    flops_per_s: int
    """Peak of its devices, all together."""

    @property
    def max_layers(self) -> int:
        """The most layers that it holds, wherever they lie."""
        return len(self.speeds) - 1

    @property
    def type(self) -> tuple[str, ...]:
        """Its device types: machines of one type differ only in where they are."""
        return self.kind.group

    def stage(self, first: int, end: int) -> PlacedStage:
        """Return its stage with the layers `[first, end)`."""
        rate = self.kind.rates.of(first, end)
        return PlacedStage((first, end), self.host, self.devices, self.kind.index, rate)


def machines_of(problem: Problem) -> list[BaselineMachine]:
    """List the machines in the spec's order.

    Of the ways to group a host's devices, the one is taken in which most devices serve; of these,
    the one with the fewest groups of unlike devices; and of these, the one with the fewest groups.
    """
    found: list[BaselineMachine] = []
    classes = {host: c for c in problem.classes for host in c.hosts}
    for host in problem.spec.cluster.hosts:
        if host.name in classes:
            way = _grouping(problem, classes[host.name])
            for kind, devices in group_devices(problem, host.name, way):
                found += _machine(problem, len(found), host.name, (devices, problem.kinds[kind]))
    return found


def chain(machines: Sequence[BaselineMachine], counts: Sequence[int]) -> Iterator[PlacedStage]:
    """Lay machines end to end from layer 0, each with its count of layers; skip those with 0."""
    first = 0
    for machine, count in zip(machines, counts, strict=True):
        if count:
            yield machine.stage(first, first + count)
        first += count


def steady_speeds(rates: Rates) -> tuple[int, ...]:
    """Return a machine's speed by the number of layers it holds, from 0, at the slowest position.

    The published methods have one table for each machine. Here the speed also depends on where the
    layers lie, since the first and the last stage also run the embedding and the head.
    """
    slowest = (min(row[k] for row in _rows(rates, k)) for k in range(1, rates.num_layers + 1))
    return (0, *takewhile(lambda speed: speed > 0, slowest))


def _rows(rates: Rates, k: int) -> Iterator[tuple[int, ...]]:
    """Yield the rows of `by_layers` for each position in the model that k layers can have."""
    (inner, last), (first, both) = rates.by_layers
    if k == rates.num_layers:
        yield both
        return
    yield from (first, last)
    if k < rates.num_layers - 1:
        yield inner


def _grouping(problem: Problem, host_class: HostClass) -> tuple[tuple[int, int], ...]:
    def key(way: tuple[tuple[int, int], ...]) -> tuple[int, int, int]:
        groups = [(problem.kinds[kind].group, count) for kind, count in way]
        served = sum(len(group) * count for group, count in groups)
        mixed = sum(count for group, count in groups if len(set(group)) > 1)
        return -served, mixed, sum(count for _, count in groups)

    return min(host_class.partitions, key=key)


def _machine(
    problem: Problem, position: int, host: str, group: tuple[tuple[int, ...], StageKind]
) -> Iterator[BaselineMachine]:
    devices, kind = group
    speeds = steady_speeds(kind.rates)
    if len(speeds) > 1:
        cluster = problem.spec.cluster
        types = [cluster.device_type_by_name[name] for name in kind.group]
        memory_bytes = sum(budget_bytes(cluster, device) for device in types)
        flops_per_s = sum(device.compute_flops_per_s for device in types)
        yield BaselineMachine(position, host, devices, kind, speeds, memory_bytes, flops_per_s)
