"""A plan's stages, read back as placed stages of a problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hexplan.cost import ShardSizes, kv_room_tokens, stage_speed
from hexplan.noun import Range
from hexplan.plan import Stage
from hexplan_solver.network import PlacedStage
from hexplan_solver.partitions import Group
from hexplan_solver.problem import Problem, Rates, StageKind


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Stages of a plan on the hosts of a problem."""

    problem: Problem
    """With a kind more for each stage whose shards the planner would not have made."""
    stages: tuple[PlacedStage, ...]
    """In the order in which they were given; the rate is 0 where a stage cannot work any more."""


def read_back(problem: Problem, stages: Iterable[Stage]) -> ReadBack:
    """Find the kind of each stage; its host, devices and their types are in the problem's cluster.

    Speeds are computed anew, for the problem's own workload and profiles.
    """
    placed = []
    for stage in stages:
        kind = _matching_kind(problem, stage)
        if kind is None:
            kind = _own_kind(problem, stage)
            problem = replace(problem, kinds=(*problem.kinds, kind))
        held = stage.layers[1] - stage.layers[0]
        rate = kind.rates.of(*stage.layers) if held <= kind.rates.max_layers else 0
        placed.append(PlacedStage(stage.layers, stage.host, stage.devices, kind.index, rate))
    return ReadBack(problem, tuple(placed))


def class_of(problem: Problem, host: str) -> int | None:
    """Return the position of a host's class, or None where none of its devices can serve."""
    found = (i for i, host_class in enumerate(problem.classes) if host in host_class.hosts)
    return next(found, None)


def _group(problem: Problem, stage: Stage) -> Group:
    types = problem.spec.cluster.host_by_name[stage.host].devices
    return tuple(types[device] for device in stage.devices)


def _matching_kind(problem: Problem, stage: Stage) -> StageKind | None:
    home, group = class_of(problem, stage.host), _group(problem, stage)
    sizes = tuple(ShardSizes.of(shard) for shard in stage.shards)
    matches = (k for k in problem.kinds if k.host_class == home and k.group == group)
    return next((kind for kind in matches if kind.sizes == sizes), None)


def _own_kind(problem: Problem, stage: Stage) -> StageKind:
    """Return a kind for one stage alone, which can hold its layers and no others."""
    home = class_of(problem, stage.host)
    group, sizes = _group(problem, stage), tuple(ShardSizes.of(shard) for shard in stage.shards)
    parts = list(zip(group, sizes, strict=True))
    rates = _rates(problem, stage.layers, _rate(problem, stage, parts))
    return StageKind(len(problem.kinds), -1 if home is None else home, group, sizes, rates, None)


def _rate(problem: Problem, stage: Stage, parts: Sequence[tuple[str, ShardSizes]]) -> int:
    spec = problem.spec
    devices = [(spec.cluster.device_type_by_name[name], sizes) for name, sizes in parts]
    sizes_of = (spec.model, spec.workload)
    room = kv_room_tokens(spec.cluster, sizes_of, stage.layers, devices)
    if room < spec.workload.max_tokens:
        return 0
    host = spec.cluster.host_by_name[stage.host]
    speed = stage_speed(spec.cluster, sizes_of, stage.layers, devices, (host.interconnect, room))
    return int(speed.micro_tokens_per_s * host.presence)


def _rates(problem: Problem, layers: Range, rate: int) -> Rates:
    total = problem.num_layers
    is_first, is_last, k = layers[0] == 0, layers[1] == total, layers[1] - layers[0]
    rows = tuple(
        tuple(
            tuple(
                rate if (first, last, n) == (is_first, is_last, k) else 0 for n in range(total + 1)
            )
            for last in (False, True)
        )
        for first in (False, True)
    )
    return Rates(total, rows)
