"""The one place where a plan is written: from a draft."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby

from hexplan.bound_proof import TrustedBound
from hexplan.constants import MICRO, RATE_DIGITS, WEIGHT_DIGITS
from hexplan.cost import (
    ShardSizes,
    StageShape,
    StageSpeed,
    kv_room_tokens,
    memory_of,
)
from hexplan.cost.host_room import planned_speed
from hexplan.field_types import Range
from hexplan.plan import (
    EXIT,
    Certificate,
    Edge,
    Hop,
    Plan,
    Route,
    Shard,
    SolveInfo,
    Stage,
    Unused,
    inputs_sha256,
)
from hexplan_solver.flow.network import OUTSIDE, Network, stage_name
from hexplan_solver.flow.routes import Flow
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.handovers import handovers_of, in_phases
from hexplan_solver.plans.predicted import predicted, rate
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.problem.shards import intervals, split
from hexplan_solver.problem.unfit import Fitness

WEIGHT_UNIT = 10**WEIGHT_DIGITS
EXCLUDED = "excluded by a pin"
"""Why a device that the user excluded is unused."""


def write_plan(draft: Draft, info: SolveInfo) -> Plan:
    """Return the plan of a draft; the fields of a plan get their values nowhere else."""
    evaluated = draft.evaluated
    network, flow, problem = evaluated.network, evaluated.flow, evaluated.problem
    spec, cluster = problem.spec, draft.user_cluster
    entering = [0] * len(network.stages)
    for path in flow.paths:
        for stage in path.stages:
            entering[stage] += path.amount
    figures = _Figures(problem)
    stages = tuple(
        _stage(figures, stage_name(j), stage, entering[j]) for j, stage in enumerate(network.stages)
    )
    stages = in_phases(stages, draft.handovers)
    return Plan(
        cluster=cluster,
        cluster_sha256=cluster.sha256,
        model=spec.model,
        workload=spec.workload,
        objective=draft.objective,
        inputs_sha256=inputs_sha256(spec.model, spec.workload, draft.objective),
        stages=stages,
        edges=_edges(network, flow),
        routes=_routes(network, flow),
        handovers=handovers_of(spec, network, draft.handovers),
        unused=tuple(_unused(draft)),
        step_limits=draft.step_limits,
        predicted=predicted(draft, stages),
        certificate=_certificate(draft),
        solve=info,
    )


@dataclass(frozen=True, slots=True)
class _Alike:
    """What stages of one kind with the same layers have in common."""

    shape: StageShape
    kv_tokens: int
    speed: StageSpeed


class _Figures:
    """The figures of stages, each computed once for all that are alike."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._known: dict[tuple[int, Range], _Alike] = {}

    def of(self, placed: PlacedStage) -> _Alike:
        """Return the figures of a stage."""
        alike = placed.kind, placed.layers
        if alike not in self._known:
            self._known[alike] = self._computed(placed)
        return self._known[alike]

    def _computed(self, placed: PlacedStage) -> _Alike:
        problem, spec = self.problem, self.problem.spec
        host = spec.cluster.host_by_name[placed.host]
        sharing = problem.sharing_of(placed.kind, placed.layers)
        group = problem.group_of(placed.kind)
        shape = StageShape(placed.layers, group, host.interconnect, sharing)
        kv_tokens = kv_room_tokens(spec, shape)
        return _Alike(shape, kv_tokens, planned_speed(spec, shape, kv_tokens))


def _stage(figures: _Figures, name: str, placed: PlacedStage, load: int) -> Stage:
    problem, spec, alike = figures.problem, figures.problem.spec, figures.of(placed)
    host = spec.cluster.host_by_name[placed.host]
    shape, kv_tokens, speed = alike.shape, alike.kv_tokens, alike.speed
    sharing = shape.sharing
    return Stage(
        id=name,
        host=placed.host,
        layers=placed.layers,
        parallel=sharing.parallel,
        shift_tokens=sharing.shift_tokens,
        sp_degree=sharing.sp_degree,
        interleave=sharing.interleave,
        shards=_shards(placed.devices, problem.kinds[placed.kind].sizes),
        memory=memory_of(spec, shape, placed.devices, kv_tokens),
        kv_tokens=kv_tokens,
        capacity_tokens_per_s=rate(int(speed.micro_tokens_per_s * host.presence)),
        load_tokens_per_s=rate(load),
        speed_origin=speed.origin,
        speed_error=speed.error,
        kv_offload=sharing.kv_offload,
    )


def _shards(devices: Sequence[int], sizes: Sequence[ShardSizes]) -> tuple[Shard, ...]:
    return tuple(
        Shard(device=device, kv_heads=kv_heads, ffn=ffn, vocab=vocab)
        for device, kv_heads, ffn, vocab in zip(
            devices,
            intervals([size.kv_heads for size in sizes]),
            intervals([size.ffn for size in sizes]),
            intervals([size.vocab for size in sizes]),
            strict=True,
        )
    )


def _edges(network: Network, flow: Flow) -> tuple[Edge, ...]:
    loads: dict[tuple[int, int], int] = {}
    for path in flow.paths:
        for step in path.arcs:
            loads[step] = loads.get(step, 0) + path.amount
    edges = []
    for source, steps in groupby(sorted(loads), key=lambda step: step[0]):
        targets = [target for _, target in steps]
        amounts = [loads[source, target] for target in targets]
        enter_layer = 0 if source == OUTSIDE else network.stages[source].layers[1]
        for target, amount, weight in zip(
            targets, amounts, split(WEIGHT_UNIT, amounts), strict=True
        ):
            arc = network.arc(source, target)
            edges.append(
                Edge(
                    source=stage_name(source),
                    target=stage_name(target, EXIT),
                    enter_layer=enter_layer,
                    capacity_tokens_per_s=rate(arc.capacity if arc else 0),
                    tokens_per_s=rate(amount),
                    weight=Decimal(weight).scaleb(-WEIGHT_DIGITS),
                )
            )
    return tuple(edges)


def _routes(network: Network, flow: Flow) -> tuple[Route, ...]:
    weights = split(WEIGHT_UNIT, [path.amount for path in flow.paths])
    routes = []
    for path, weight in zip(flow.paths, weights, strict=True):
        enters = [0, *(network.stages[stage].layers[1] for stage in path.stages[:-1])]
        hops = zip(path.stages, enters, strict=True)
        routes.append(
            Route(
                hops=tuple(Hop(stage=stage_name(s), enter_layer=layer) for s, layer in hops),
                tokens_per_s=rate(path.amount),
                weight=Decimal(weight).scaleb(-WEIGHT_DIGITS),
            )
        )
    return tuple(routes)


def _unused(draft: Draft) -> Iterator[Unused]:
    """Yield every device without a stage, with the reason that comes closest to the truth."""
    cluster, idle = draft.user_cluster, draft.idle
    used = {(s.host, device) for s in draft.evaluated.network.stages for device in s.devices}
    used_hosts = set(draft.used_hosts)
    slots = [(host.name, i) for host in cluster.hosts for i in range(len(host.devices))]
    left_out = [slot for slot in slots if slot not in used]
    if not left_out:
        return
    fitness = Fitness(_whole_problem(draft))
    for host, device in left_out:
        reason = idle.device or _flow_reason(draft)
        if idle.host is not None and host not in used_hosts:
            reason = idle.host
        if cluster.is_excluded(host, device):
            reason = EXCLUDED
        else:
            reason = fitness.why_unfit(host, device) or reason
        yield Unused(host=host, device=device, reason=reason)


def _whole_problem(draft: Draft) -> Problem:
    """Return the problem of the user's cluster; the search may have seen only a part of it."""
    searched = draft.evaluated.problem
    if draft.cluster is None or draft.cluster == searched.spec.cluster:
        return searched
    return build_problem(replace(searched.spec, cluster=draft.cluster))


def _flow_reason(draft: Draft) -> str:
    """Say why the largest flow found leaves a device out, which could serve."""
    flow = f"{rate(draft.value):f} tokens/s"
    if draft.value == draft.proof.proved.micro_tokens_per_s:
        return f"the flow of {flow} is proved the largest, with it or without it"
    found = f"no placement was found in which it raises the flow above {flow}"
    return f"{found}; `hexplan explain` tries each place for it"


def _certificate(draft: Draft) -> Certificate:
    flow, proof, cost = draft.evaluated.flow, draft.proof, draft.cost_proof
    cut = sum((term.price * term.capacity for term in flow.cut), Decimal(0))
    bound = proof.proved.micro_tokens_per_s
    return Certificate(
        flow_tokens_per_s=rate(flow.value),
        cut=flow.cut,
        cut_tokens_per_s=round(cut, RATE_DIGITS),
        bound_tokens_per_s=rate(bound),
        proof=proof.proved.how,
        gap=_gap(bound, flow.value),
        trusted=_trusted(draft),
        status=proof.status,
        cost_bound_usd_per_h=None if cost is None else cost.usd_per_h,
        cost_gap=None if cost is None else _cost_gap(draft.cost_usd_per_h, cost.usd_per_h),
        cost_proof=None if cost is None else cost.how,
    )


def _trusted(draft: Draft) -> TrustedBound | None:
    trusted = draft.proof.trusted
    if trusted is None:
        return None
    bound = trusted.micro_tokens_per_s
    return TrustedBound(
        tokens_per_s=rate(bound), gap=_gap(bound, draft.value), kind=trusted.kind, by=trusted.by
    )


def _gap(bound: int, flow: int) -> Decimal:
    """Return how far a bound is above a flow, as a share of the flow, rounded up to 1e-6."""
    return Decimal(-(-(bound - flow) * MICRO // flow)).scaleb(-RATE_DIGITS)


def _cost_gap(cost: Decimal | None, bound: Decimal) -> Decimal | None:
    if not bound or cost is None:
        return None
    return Decimal(math.ceil((cost - bound) / bound * MICRO)) / MICRO
