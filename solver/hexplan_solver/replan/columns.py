"""The stages that a replan may choose from: each on named devices, with the bytes that it moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice, product

from hexplan.field_types import Range
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.replan.movement import Movement
from hexplan_solver.replan.params import REPLAN_PARAMS


@dataclass(frozen=True, slots=True)
class PricedStage:
    """A stage that could be formed, with the bytes that its devices would fetch."""

    stage: PlacedStage
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class Columns:
    """The stages that a replan chooses from: the columns of its MILPs."""

    stages: tuple[PricedStage, ...]
    is_complete: bool
    """Whether every possible stage is among them; only then does a MILP prove a bound."""


def columns_of(movement: Movement, known: Sequence[Sequence[PlacedStage]]) -> Columns:
    """List the stages that may be formed, those of all known placements among them."""
    problem = movement.problem
    given = list(dict.fromkeys(stage for stages in known for stage in stages))
    groups = dict.fromkeys((s.host, s.devices, s.kind) for s in given)
    is_complete = True
    for index, host_class in enumerate(problem.classes):
        kinds = [k for k in problem.kinds if k.host_class == index]
        for host, kind in product(host_class.hosts, kinds):
            sets, are_all = _device_sets(problem, host, kind)
            is_complete &= are_all
            groups |= dict.fromkeys((host, devices, kind.index) for devices in sets)
    ranges = {kind.index: kind.ranges() for kind in problem.kinds}
    entries = sum(_entries(ranges[number]) for _, _, number in groups)
    if entries > REPLAN_PARAMS.max_entries:
        is_complete = False
        ranges = {number: _near(found, given) for number, found in ranges.items()}
    stages = dict.fromkeys(given)
    for host, devices, number in groups:
        rates = problem.kinds[number].rates
        stages |= dict.fromkeys(
            PlacedStage(layers, host, devices, number, rates.of(*layers))
            for layers in ranges[number]
        )
    return Columns(tuple(_cheapest(movement, stage) for stage in sorted(stages)), is_complete)


def _cheapest(movement: Movement, stage: PlacedStage) -> PricedStage:
    """Return a stage with its devices in the order that moves the fewest bytes."""
    if len(stage.devices) > 1 and movement.keeps_any(stage):
        stage = replace(stage, devices=movement.seated_within(stage))
    return PricedStage(stage, movement.of_stage(stage))


def _device_sets(
    problem: Problem, host: str, kind: StageKind
) -> tuple[Iterable[tuple[int, ...]], bool]:
    """List sets of a host's devices that can form a kind, and say whether these are all."""
    cluster = problem.spec.cluster
    types = cluster.host_by_name[host].devices
    pinned = [set(pin.devices) for pin in cluster.group_pins if pin.host == host]
    free = [d for d in range(len(types)) if not cluster.is_excluded(host, d)]
    by_type = {name: [d for d in free if types[d] == name] for name in dict.fromkeys(kind.group)}
    needed = {name: kind.group.count(name) for name in by_type}
    most = REPLAN_PARAMS.max_sets
    every = list(islice(_subsets(by_type, needed), most))
    are_all = len(every) < most
    sets = every if are_all else list(_neighbours(by_type, needed))
    # A pinned group need not be a run of neighbours, so it is tried in any case.
    sets += [_ordered(kind, types, p) for p in pinned if len(p) == len(kind.group)]
    allowed = [
        devices
        for devices in dict.fromkeys(sets)
        if tuple(types[d] for d in devices) == kind.group
        and all(p == set(devices) or not p & set(devices) for p in pinned)
    ]
    return allowed, are_all


def _ordered(kind: StageKind, types: Sequence[str], devices: Iterable[int]) -> tuple[int, ...]:
    place = {name: position for position, name in enumerate(kind.group)}
    return tuple(sorted(devices, key=lambda d: (place.get(types[d], len(place)), d)))


def _subsets(by_type: dict[str, list[int]], needed: dict[str, int]) -> Iterator[tuple[int, ...]]:
    parts = (combinations(by_type[name], count) for name, count in needed.items())
    for chosen in product(*parts):
        yield tuple(device for part in chosen for device in part)


def _neighbours(by_type: dict[str, list[int]], needed: dict[str, int]) -> Iterator[tuple[int, ...]]:
    """Cut each type's devices into runs of neighbours, from either end."""
    for step in (1, -1):
        rows = {name: by_type[name][::step] for name in needed}
        for i in range(min(len(rows[name]) // count for name, count in needed.items())):
            cut = (sorted(rows[name][i * n : (i + 1) * n]) for name, n in needed.items())
            yield tuple(device for part in cut for device in part)


def _near(ranges: Sequence[Range], known: Sequence[PlacedStage]) -> list[Range]:
    """Keep the ranges that begin and end where stages of known placements do."""
    ends = {end for stage in known for end in stage.layers}
    return [layers for layers in ranges if ends >= set(layers)]


def _entries(ranges: Sequence[Range]) -> int:
    return sum(end - first for first, end in ranges)
