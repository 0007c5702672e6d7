"""A plan's stages, converted back to placed stages of a problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hexplan.cost import TENSOR, DeviceShard, ShardSizes, Sharing, StageShape, find_sharing
from hexplan.cost.host_room import sharing_with_room
from hexplan.engines import ENGINES
from hexplan.field_types import Range
from hexplan.plan import Plan, Stage
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.partitions import Group
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.problem.rates import Rates, as_counted, capacity_of


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Stages of a plan on the hosts of a problem."""

    problem: Problem
    """With one more kind for each stage that the planner would have cut into other shards."""
    stages: tuple[PlacedStage, ...]
    """In the order in which they were given; the rate of one that cannot work any more is 0."""


def read_back(
    problem: Problem, stages: Iterable[Stage], replicas: Mapping[str, int] | None = None
) -> ReadBack:
    """Find the kind of each stage, whose host and devices have to be in the problem's cluster.

    Speeds are computed again, for the problem's own workload and profiles.

    Parameters
    ----------
    replicas
        The replica of each stage, for engines that run whole replicas alone (`replica_numbers`).
    """
    placed = []
    numbers = replicas or {}
    for stage in stages:
        kind = _matching_kind(problem, stage)
        if kind is None:
            kind = _own_kind(problem, stage)
            problem = replace(problem, kinds=(*problem.kinds, kind))
        held = stage.layers[1] - stage.layers[0]
        rate = kind.rates.of(*stage.layers) if held <= kind.rates.max_layers else 0
        of = numbers.get(stage.id, -1)
        placed.append(PlacedStage(stage.layers, stage.host, stage.devices, kind.index, rate, of))
    return ReadBack(problem, tuple(placed))


def replica_numbers(plan: Plan) -> dict[str, int]:
    """Return the replica of each stage: the position of its route. Empty if replicas may mix."""
    if not ENGINES[plan.cluster.limits.engine].whole_replicas:
        return {}
    return {hop.stage: index for index, route in enumerate(plan.routes) for hop in route.hops}


def class_of(problem: Problem, host: str) -> int | None:
    """Return the position of a host's class, or None if none of its devices can serve."""
    found = (i for i, host_class in enumerate(problem.classes) if host in host_class.hosts)
    return next(found, None)


def _group(problem: Problem, stage: Stage) -> Group:
    types = problem.spec.cluster.host_by_name[stage.host].devices
    return tuple(types[device] for device in stage.devices)


def _matching_kind(problem: Problem, stage: Stage) -> StageKind | None:
    home, group = class_of(problem, stage.host), _group(problem, stage)
    sizes = tuple(ShardSizes.of(shard) for shard in stage.shards)
    matches = (k for k in problem.kinds if k.host_class == home and k.group == group)
    return next((k for k in matches if k.sizes == sizes and _shares_alike(k, stage)), None)


def _shares_alike(kind: StageKind, stage: Stage) -> bool:
    """Say whether stages of a kind share their work as a stage does, at the stage's layers."""
    if stage.layers[1] - stage.layers[0] > kind.rates.max_layers:
        return stage.parallel == "tp"
    sharing = kind.rates.sharing_of(*stage.layers)
    return (sharing.parallel, sharing.sp_degree) == (stage.parallel, stage.sp_degree)


def _own_kind(problem: Problem, stage: Stage) -> StageKind:
    """Return a kind of its own for a stage, which can hold the stage's layers and no others."""
    home = class_of(problem, stage.host)
    group, sizes = _group(problem, stage), tuple(ShardSizes.of(shard) for shard in stage.shards)
    types = problem.spec.cluster.device_type_by_name
    parts = (DeviceShard(types[name], size) for name, size in zip(group, sizes, strict=True))
    rates = _rates(problem, stage.layers, *_rate(problem, stage, tuple(parts)))
    return StageKind(len(problem.kinds), -1 if home is None else home, group, sizes, rates, None)


def _rate(problem: Problem, stage: Stage, group: tuple[DeviceShard, ...]) -> tuple[int, Sharing]:
    """Return the speed of a stage and how it shares its work; 0 if it may no longer share it so."""
    spec = problem.spec
    host = spec.cluster.host_by_name[stage.host]
    shape = StageShape(stage.layers, group, host.interconnect)
    sharing = find_sharing(stage.parallel, spec.model, shape, stage.sp_degree)
    is_allowed = len(group) == 1 or stage.parallel in spec.cluster.limits.parallel
    if sharing is None or not is_allowed:
        return 0, TENSOR
    sharing = sharing_with_room(spec, host, replace(shape, sharing=sharing))
    capacity = capacity_of(spec, host, group, stage.layers, sharing)
    return as_counted(spec.cluster, capacity), sharing


def _rates(problem: Problem, layers: Range, rate: int, sharing: Sharing) -> Rates:
    """Return a table of speeds that is 0 but for one range of layers."""
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
    if sharing == TENSOR:
        return Rates(total, rows)
    return Rates(total, rows, (((sharing,) * (total + 1),) * 2,) * 2)
