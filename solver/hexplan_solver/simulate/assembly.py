"""Pipelines, put together from a plan or from a placement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO, WEIGHT_DIGITS
from hexplan.cost import ShardSizes, StageShape
from hexplan.cost.host_room import room_tokens
from hexplan.cost.links import token_bytes
from hexplan.cost.memory import kv_bytes_per_token
from hexplan.cost.speed import find_profile
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import ENTRY, EXIT, Handover, Plan
from hexplan.spec import Spec
from hexplan_solver.flow.network import OUTSIDE, Network, SharedCapacities
from hexplan_solver.flow.routes import Flow, Path
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.shards import split
from hexplan_solver.simulate.params import SIMULATE_PARAMS
from hexplan_solver.simulate.pipeline_model import (
    NO_LIMIT,
    EdgeModel,
    PipelineModel,
    RouteModel,
    StageModel,
    kv_moves,
)

Hosted = tuple[str, StageModel]
"""A stage and its host."""
EdgeFlows = dict[tuple[int, int], float]
"""Flow on edges, given by positions of stages, in any unit."""


def pipeline_of_plan(plan: Plan) -> PipelineModel:
    """Return what a plan describes; its embedded cluster has all that is needed."""
    position = {stage.id: index for index, stage in enumerate(plan.stages)}
    position |= {ENTRY: OUTSIDE, EXIT: OUTSIDE}
    if plan.handovers:
        routes = [_handed_over(position, handover) for handover in plan.handovers]
        return pipeline_of_handovers(Spec.of(plan), stages_of_plan(plan), routes)
    flows = {(position[e.source], position[e.target]): float(e.tokens_per_s) for e in plan.edges}
    chains = {
        tuple(position[hop.stage] for hop in route.hops): int(route.weight.scaleb(WEIGHT_DIGITS))
        for route in plan.routes
    }
    return assemble(Spec.of(plan), stages_of_plan(plan), flows, _routes(chains))


def pipeline_of_placement(problem: Problem, network: Network, flow: Flow) -> PipelineModel:
    """Return what a plan of a placement and its flow describes, without making the plan first.

    Flows and weights are rounded as the plan will state them, so both give equal simulations.
    """
    flows = {ends: amount / MICRO for ends, amount in edge_flows(flow.paths).items()}
    weights = split(10**WEIGHT_DIGITS, [path.amount for path in flow.paths])
    chains = {path.stages: weight for path, weight in zip(flow.paths, weights, strict=True)}
    return pipeline_of_flows(problem, network, flows, chains)


def pipeline_of_flows(
    problem: Problem,
    network: Network,
    flows: EdgeFlows,
    chains: dict[tuple[int, ...], int] | None = None,
) -> PipelineModel:
    """Return what a placement and flows on its edges, in any unit, describe.

    Without chains (routes with whole weights), requests can only be routed by edges.
    """
    stages = stages_of_placement(problem, network)
    return assemble(problem.spec, stages, flows, _routes(chains or {}))


def pipeline_of_handovers(
    spec: Spec, hosted: Sequence[Hosted], routes: Sequence[RouteModel]
) -> PipelineModel:
    """Join stages by what routes use that decode on other stages than they prefill."""
    flows: EdgeFlows = {}
    for route in routes:
        for chain in (route.stages, route.decode_stages or ()):
            for step in Path(chain, route.weight).arcs if chain else ():
                flows[step] = flows.get(step, 0.0) + route.weight
    return assemble(spec, hosted, flows, routes)


def edge_flows(paths: Iterable[Path]) -> EdgeFlows:
    """Sum the flow of paths over each edge."""
    flows: EdgeFlows = {}
    for path in paths:
        for step in path.arcs:
            flows[step] = flows.get(step, 0.0) + path.amount
    return flows


def stages_of_plan(plan: Plan) -> list[Hosted]:
    """Return a plan's stages, with the KV room that it states."""
    spec, stages = Spec.of(plan), []
    for stage in plan.stages:
        shape = StageShape.of(plan, stage)
        found = _stage(spec, stage.id, shape, stage.room_tokens)
        stages.append((stage.host, replace(found, phase=stage.phase)))
    return stages


def stages_of_placement(problem: Problem, network: Network) -> list[Hosted]:
    """Return a placement's stages, named as a plan would name them."""
    # Stages of one kind with the same layers are alike but for their names.
    known: dict[tuple[int, Range], StageModel] = {}
    stages = []
    for index, placed in enumerate(network.stages):
        alike = placed.kind, placed.layers
        if alike not in known:
            known[alike] = _placed_stage(problem, "", placed)
        stages.append((placed.host, replace(known[alike], name=f"s{index}")))
    return stages


def assemble(
    spec: Spec, hosted: Sequence[Hosted], flows: EdgeFlows, routes: Sequence[RouteModel]
) -> PipelineModel:
    """Join stages by edges wherever there is flow or KV has to move between routes."""
    connections = _Connections(spec, [host for host, _ in hosted])
    stages = tuple(stage for _, stage in hosted)
    layers = [stage.layers for stage in stages]
    moves = {
        (move.source, move.target): 0.0
        for route in routes
        if route.decode_stages is not None
        for move in kv_moves(layers, route.stages, route.decode_stages)
    }
    return PipelineModel(
        spec.model.layers,
        stages,
        connections.edges(flows),
        tuple(routes),
        context_tokens=spec.workload.mean_context_tokens,
        activation_bytes=spec.model.hidden * spec.model.dtype_bytes,
        kv_edges=connections.edges(moves, kv_layer_bytes(spec.model)),
        shared_bytes_per_s=connections.shared_bytes_per_s(),
    )


def kv_layer_bytes(model: Model) -> int:
    """Return the bytes of the KV of one token in one layer."""
    return kv_bytes_per_token(model, ShardSizes(model.kv_heads, model.ffn, model.vocab), (0, 1))


def _routes(chains: Mapping[tuple[int, ...], int]) -> list[RouteModel]:
    return [RouteModel(chain, weight) for chain, weight in chains.items() if weight]


def _handed_over(position: Mapping[str, int], handover: Handover) -> RouteModel:
    prefill, decode = (
        tuple(position[hop.stage] for hop in hops) for hops in (handover.prefill, handover.decode)
    )
    return RouteModel(prefill, int(handover.weight.scaleb(WEIGHT_DIGITS)), decode)


def _placed_stage(problem: Problem, name: str, placed: PlacedStage) -> StageModel:
    spec, group = problem.spec, problem.group_of(placed.kind)
    sharing = problem.sharing_of(placed.kind, placed.layers)
    interconnect = spec.cluster.host_by_name[placed.host].interconnect
    shape = StageShape(placed.layers, group, interconnect, sharing)
    return _stage(spec, name, shape, room_tokens(spec, shape))


def _stage(spec: Spec, name: str, shape: StageShape, kv_tokens: int) -> StageModel:
    # Limits measured on a tensor-parallel group do not hold for other groups.
    known = spec.cluster.measured_over(shape.interconnect)
    is_plain = shape.sharing.is_tensor and shape.sharing.kv_offload is None
    profile = find_profile(known, shape.devices) if is_plain else None
    held = shape.num_layers
    return StageModel(
        name,
        shape.layers,
        stage_step_times(spec, shape),
        kv_tokens,
        profile.kv_tokens[held - 1] if profile and held <= len(profile.kv_tokens) else None,
        _limit(profile.max_prompts if profile else (), held),
        _limit(profile.max_decode_tokens if profile else (), held),
        kv_move_s=_kv_move_s(spec.model, len(shape.devices)),
    )


def _kv_move_s(model: Model, degree: int) -> float:
    """Return how long the KV of a token in a layer takes to host memory, by all devices at once."""
    return kv_layer_bytes(model) / degree / SIMULATE_PARAMS.host_bytes_per_s


def _limit(by_layers: Sequence[int], held: int) -> int:
    """Return the limit for so many layers, or for the most that were measured."""
    return by_layers[min(held, len(by_layers)) - 1] if by_layers else NO_LIMIT


class _Connections:
    """What joins stages, with the NICs and trunks that they share numbered as they are met."""

    def __init__(self, spec: Spec, hosts: Sequence[str]) -> None:
        self._spec, self._hosts = spec, hosts
        self._numbers = SharedCapacities(spec)

    def edges(self, flows: EdgeFlows, num_bytes: int | None = None) -> tuple[EdgeModel, ...]:
        """Return an edge wherever there is flow; a token is as wide as its ends make it."""
        return tuple(self._edge(*ends, flow, num_bytes) for ends, flow in sorted(flows.items()))

    def shared_bytes_per_s(self) -> tuple[float, ...]:
        """Return the NICs and trunks on the way of the edges so far."""
        return tuple(float(shared.bytes_per_s) for shared in self._numbers.found)

    def _edge(self, source: int, target: int, flow: float, num_bytes: int | None) -> EdgeModel:
        ends = (
            COORDINATOR if source == OUTSIDE else self._hosts[source],
            COORDINATOR if target == OUTSIDE else self._hosts[target],
        )
        bandwidth, latency = _reach(self._spec.cluster, *ends)
        width = num_bytes or token_bytes(self._spec.cluster, self._spec.model, *ends)
        shared = self._numbers.of(*ends)
        return EdgeModel(source, target, bandwidth, latency, width, flow, shared)


def _reach(cluster: Cluster, source: str, target: str) -> tuple[float, float]:
    """Return bytes/s and seconds of latency between two hosts that the flow joins."""
    way = cluster.host_by_name[source].interconnect if source == target else None
    link = way or cluster.link(source, target)
    assert link is not None, "a flow goes only where the network has an arc"
    is_hop = COORDINATOR not in (source, target)
    overhead_s = float(cluster.limits.hop_overhead_s) if is_hop else 0.0
    return float(link.bandwidth_bytes_per_s), float(link.latency_s) + overhead_s
