"""Why devices are left out: each is tried wherever it could serve, with the other stages fixed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.field_types import Range
from hexplan.plan import Plan
from hexplan.results.explanation import IdleDevices
from hexplan_solver.explain.params import EXPLAIN_PARAMS
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.read_back import class_of
from hexplan_solver.plans.write import EXCLUDED
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.problem.unfit import Fitness


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
            grouped[name, _Verdict(EXCLUDED)].append((host, len(out)))
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
    name = idle.device_type
    unfit = Fitness(problem).why_unfit(idle.host, idle.devices[0])
    if unfit is not None:
        return _Verdict(unfit)
    if plan.objective != "throughput":
        # More flow would not make this plan better.
        here = (idle.host, idle.devices[0])
        return _Verdict(next(u.reason for u in plan.unused if (u.host, u.device) == here))
    home = class_of(problem, idle.host)
    groups = {(name,) * n for n in range(1, len(idle.devices) + 1)}
    kinds = [k for k in problem.kinds if k.host_class == home and k.group in groups]
    if not kinds:
        return _Verdict("no stage can be formed of the idle devices of its host alone")
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
        reason = f"it raises the flow in none of {tried} places, with the other stages as they are"
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
