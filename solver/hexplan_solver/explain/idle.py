"""Why devices are left out: each is tried wherever it could serve, with the other stages fixed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.cost import DeviceShard, StageShape
from hexplan.cost.memory import memory_needs
from hexplan.field_types import Range
from hexplan.plan import Plan
from hexplan.results.explanation import IdleDevices
from hexplan.units import GIB
from hexplan_solver.explain.params import EXPLAIN_PARAMS
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.read_back import class_of
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.problem.shards import shard_sizes


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Why some devices are left out, and what trying them has shown."""

    reason: str
    tried: int = 0
    """Stages that were tried."""
    layers: Range | None = None
    """Of the best of them, if it raises the flow."""
    gain: int = 0
    """By which it does, in 1e-6 tokens/s."""


@dataclass(frozen=True, slots=True)
class _IdleGroup:
    """Idle devices of one type on one host."""

    host: str
    device_type: str
    devices: tuple[int, ...]


def idle_devices(
    problem: Problem, plan: Plan, stages: Sequence[PlacedStage]
) -> tuple[IdleDevices, ...]:
    """Say why each unused device is left out, with like devices of like hosts taken together."""
    cluster = problem.spec.cluster
    left: dict[tuple[str, str], list[int]] = defaultdict(list)
    for unused in plan.unused:
        name = cluster.host_by_name[unused.host].devices[unused.device]
        left[unused.host, name].append(unused.device)
    verdicts: dict[tuple[object, ...], _Verdict] = {}
    grouped: dict[tuple[str, _Verdict], list[tuple[str, int]]] = defaultdict(list)
    for (host, name), devices in left.items():
        out = [d for d in devices if cluster.is_excluded(host, d)]
        if out:
            grouped[name, _Verdict("kept out by a pin")].append((host, len(out)))
        free = tuple(d for d in devices if d not in out)
        if not free:
            continue
        home = class_of(problem, host)
        key = (home if home is not None else host, name, len(free))
        if key not in verdicts:
            verdicts[key] = _verdict(problem, plan, stages, _IdleGroup(host, name, free))
        grouped[name, verdicts[key]].append((host, len(free)))
    return tuple(
        IdleDevices(
            device=name,
            count=sum(count for _, count in places),
            hosts=tuple(host for host, _ in places),
            reason=verdict.reason,
            places_tried=verdict.tried,
            best_layers=verdict.layers,
            best_gain_tokens_per_s=Decimal(verdict.gain) / MICRO,
        )
        for (name, verdict), places in grouped.items()
    )


def _verdict(
    problem: Problem, plan: Plan, stages: Sequence[PlacedStage], idle: _IdleGroup
) -> _Verdict:
    home = class_of(problem, idle.host)
    groups = {(idle.device_type,) * n for n in range(1, len(idle.devices) + 1)}
    kinds = [k for k in problem.kinds if k.host_class == home and k.group in groups]
    if not kinds:
        return _Verdict(_too_small(problem, idle.device_type))
    if plan.certificate.bound_tokens_per_s == plan.certificate.flow_tokens_per_s:
        return _Verdict("the flow is proved the largest of all plans: nothing can raise it")
    tried, best, layers = 0, 0, None
    for stage in _stages_to_try(kinds, stages, idle):
        tried += 1
        found = max_flow(build_network(problem.spec, [*stages, stage])).value
        gain = found - int(plan.certificate.flow_tokens_per_s * MICRO)
        if gain > best:
            best, layers = gain, stage.layers
    if layers is None:
        reason = f"in none of {tried} places does it raise the flow, the others left as they are"
    else:
        reason = f"it would help at layers [{layers[0]}, {layers[1]}); this plan can be improved"
    return _Verdict(reason, tried, layers, best)


def _stages_to_try(
    kinds: Sequence[StageKind], stages: Sequence[PlacedStage], idle: _IdleGroup
) -> Iterator[PlacedStage]:
    """Yield stages of idle devices that could raise the flow.

    Which stages may feed a stage changes only where another stage ends, and which it may feed only
    where another begins or ends. So its own ends are tried there and one layer further.
    """
    bounds = {0, *(end for stage in stages for end in stage.layers)}
    found = []
    for kind in kinds:
        near = {end + step for end in bounds for step in (0, 1)}
        for layers in kind.ranges():
            if layers[0] in bounds and (layers[1] in near or layers[1] == layers[0] + 1):
                chosen, rate = idle.devices[: len(kind.group)], kind.rates.of(*layers)
                found.append(PlacedStage(layers, idle.host, chosen, kind.index, rate))
    step = max(1, -(-len(found) // EXPLAIN_PARAMS.max_tries))
    yield from found[::step]


def _too_small(problem: Problem, name: str) -> str:
    """Say what one device lacks to hold one layer with room for one longest request."""
    spec = problem.spec
    device = spec.cluster.device_type_by_name[name]
    sizes = shard_sizes(spec.model, [device])
    layers = (1, 2) if spec.model.layers > 2 else (0, 1)
    if not device.runs(spec.model.dtype):
        return f"it does not compute in {spec.model.dtype}"
    if sizes is not None:
        shape = StageShape(layers, (DeviceShard(device, sizes[0]),))
        (need,) = memory_needs(spec, shape)
        needed = need.fixed_bytes + spec.workload.max_tokens * need.kv_token_bytes
        if needed > need.budget_bytes:
            return (
                f"one layer with room for one longest request takes {needed / GIB:.1f} GiB, and the"
                f" plan may fill {need.budget_bytes / GIB:.1f} GiB of it"
            )
    return "no stage can be formed of it as its host is pinned, or it has no measured speed"
