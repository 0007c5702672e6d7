"""From designs to names: which devices of which host each replica gets."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.design import Design
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import HostPart
from hexplan_solver.replicas.supply import usable_devices

Named = tuple[PlacedStage, ...]
"""The stages of one replica, in the order of their layers."""
Group = tuple[int, ...]


class Stock:
    """The devices that are left on each host."""

    def __init__(self, problem: Problem) -> None:
        self._problem, cluster = problem, problem.spec.cluster
        self._tied: dict[str, list[Group]] = defaultdict(list)
        for pin in cluster.group_pins:
            types = cluster.host_by_name[pin.host].devices
            self._tied[pin.host].append(tuple(sorted(pin.devices, key=lambda d: (types[d], d))))
        self._free: dict[str, list[int]] = {}
        for host_class in problem.classes:
            for name in host_class.hosts:
                tied = {device for group in self._tied[name] for device in group}
                self._free[name] = [d for d in usable_devices(problem, name) if d not in tied]

    def num_free(self, host: str) -> int:
        """Count what is left of a host."""
        return len(self._free[host]) + sum(map(len, self._tied[host]))

    def take(self, host: str, part: HostPart) -> list[Group] | None:
        """Take the devices of a part, group by group; None, and nothing is taken, if it lacks any.

        Devices that the user tied together go to one stage; others do not take their place.
        """
        types = self._problem.spec.cluster.host_by_name[host].devices
        free, tied = list(self._free[host]), list(self._tied[host])
        groups: list[Group] = []
        for kind in part.kinds:
            names = self._problem.kinds[kind].group
            own = next((g for g in tied if tuple(types[d] for d in g) == names), None)
            if own is not None:
                tied.remove(own)
                groups.append(own)
                continue
            chosen: list[int] = []
            for name in names:
                device = next((d for d in free if types[d] == name), None)
                if device is None:
                    return None
                free.remove(device)
                chosen.append(device)
            groups.append(tuple(chosen))
        self._free[host], self._tied[host] = free, tied
        return groups


def named(problem: Problem, designs: Sequence[Design]) -> list[Named]:
    """Return replicas on named devices; designs that no hosts are left for are left out.

    The largest parts come first, each on the host that it fills best, or that has most room, or on
    one drawn at random: the try that keeps most of the flow counts.
    """
    rng = random.Random(0)  # noqa: S311 - an order, not a secret
    best: list[Named] = []
    most = -1
    rules: list[Callable[[int], float]] = [lambda free: free, lambda free: -free]
    rules += [lambda _: rng.random()] * REPLICA_PARAMS.naming_tries
    for rule in rules:
        found = _named_by(problem, designs, rule)
        rate = sum(designs[stages[0].replica].rate for stages in found)
        if rate > most:
            best, most = found, rate
        if len(found) == len(designs):
            break
    return best


def _named_by(
    problem: Problem, designs: Sequence[Design], rule: Callable[[int], float]
) -> list[Named]:
    stock = Stock(problem)
    taken: dict[tuple[int, int], tuple[str, list[Group]]] = {}
    order = sorted(
        ((i, j) for i, design in enumerate(designs) for j in range(len(design.parts))),
        key=lambda ij: (-_size(problem, designs[ij[0]].parts[ij[1]]), ij),
    )
    hosts_of: dict[int, set[str]] = defaultdict(set)
    lost: set[int] = set()
    for i, j in order:
        part = designs[i].parts[j]
        hosts = [h for h in problem.classes[part.host_class].hosts if h not in hosts_of[i]]
        for host in sorted(hosts, key=lambda name: rule(stock.num_free(name))):
            groups = stock.take(host, part) if i not in lost else None
            if groups is not None:
                taken[i, j] = host, groups
                hosts_of[i].add(host)
                break
        else:
            lost.add(i)
    return [
        _stages(problem, design, i, [taken[i, j] for j in range(len(design.parts))])
        for i, design in enumerate(designs)
        if i not in lost
    ]


def together(replicas: Sequence[Sequence[PlacedStage]]) -> list[PlacedStage]:
    """Return the stages of some replicas, with the numbers of the replicas in this order."""
    return [
        replace(stage, replica=number) for number, stages in enumerate(replicas) for stage in stages
    ]


def _size(problem: Problem, part: HostPart) -> int:
    return sum(len(problem.kinds[kind].group) for kind in part.kinds)


def _stages(
    problem: Problem, design: Design, number: int, places: Sequence[tuple[str, list[Group]]]
) -> Named:
    left = [list(groups) for _, groups in places]
    stages = []
    for seat, layers in zip(design.seats, design.layers, strict=True):
        own = design.parts[seat.part].kinds
        position = len(own) - len(left[seat.part])
        assert own[position] == seat.kind, "seats take the kinds of a part in turn"
        devices = left[seat.part].pop(0)
        rate = problem.kinds[seat.kind].rates.of(*layers)
        host = places[seat.part][0]
        stages.append(PlacedStage(layers, host, devices, seat.kind, rate, number))
    return tuple(stages)
