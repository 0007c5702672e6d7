"""The pipeline: what of a plan or of a placement is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.cost import ShardSizes, kv_room_tokens
from hexplan.cost.links import token_bytes
from hexplan.cost.speed import find_profile
from hexplan.cost.steps import StepTimes, stage_steps
from hexplan.device import DeviceType
from hexplan.noun import WEIGHT_DIGITS, Range
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.spec import Spec
from hexplan_solver.network import OUTSIDE, Network, PlacedStage, SharedCapacities
from hexplan_solver.problem import Problem
from hexplan_solver.routes import Flow

NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class StageModel:
    """A stage: how fast it is, and what it has room for."""

    name: str
    layers: Range
    steps: StepTimes
    kv_tokens: int
    """Tokens of context that it holds, by the memory formula."""
    measured_kv_tokens: int | None = None
    """The same as the profile has it."""
    max_prompts: int = NO_LIMIT
    """Prompts in one step, as the profile has it."""
    max_decode_tokens: int = NO_LIMIT
    """Tokens decoded in one step, as the profile has it."""


@dataclass(frozen=True, slots=True)
class EdgeModel:
    """A connection that requests use, by positions of stages; OUTSIDE is the coordinator."""

    source: int
    target: int
    bytes_per_s: float
    latency_s: float
    token_bytes: int
    weight: float
    """Flow over it, in any unit; only the shares count."""
    shared: tuple[int, ...] = ()
    """Positions in `Pipeline.shared_bytes_per_s` of the NICs and trunks on the way."""


@dataclass(frozen=True, slots=True)
class RouteModel:
    """A chain of stages, by position."""

    stages: tuple[int, ...]
    weight: int
    """Whole, so that round robin never drifts."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages, the edges between them, and the routes that requests take."""

    num_layers: int
    stages: tuple[StageModel, ...]
    edges: tuple[EdgeModel, ...]
    routes: tuple[RouteModel, ...]
    shared_bytes_per_s: tuple[float, ...] = ()
    activation_bytes: int = 0
    """Bytes of one token between two stages."""


def pipeline_of_plan(plan: Plan) -> Pipeline:
    """Return what a plan describes; its embedded cluster has all that is needed."""
    position = {stage.id: index for index, stage in enumerate(plan.stages)}
    position |= {ENTRY: OUTSIDE, EXIT: OUTSIDE}
    spec = Spec(plan.cluster, plan.model, plan.workload)
    stages = []
    for stage in plan.stages:
        host = plan.cluster.host_by_name[stage.host]
        group = [
            (plan.cluster.device_type_by_name[host.devices[shard.device]], ShardSizes.of(shard))
            for shard in stage.shards
        ]
        stages.append(_stage(spec, (stage.id, stage.host, stage.layers), group, stage.kv_tokens))
    flows = {(position[e.source], position[e.target]): float(e.tokens_per_s) for e in plan.edges}
    chains = {
        tuple(position[hop.stage] for hop in route.hops): int(route.weight.scaleb(WEIGHT_DIGITS))
        for route in plan.routes
    }
    return _assemble(spec, stages, [stage.host for stage in plan.stages], flows, chains)


def pipeline_of_placement(problem: Problem, network: Network, flow: Flow) -> Pipeline:
    """Return what a placement and its flow describe, without making a plan of it first."""
    flows: dict[tuple[int, int], float] = {}
    for path in flow.paths:
        for step in path.steps:
            flows[step] = flows.get(step, 0.0) + path.amount
    return pipeline_of_flows(
        problem, network, flows, {path.stages: path.amount for path in flow.paths}
    )


def pipeline_of_flows(
    problem: Problem,
    network: Network,
    flows: dict[tuple[int, int], float],
    chains: dict[tuple[int, ...], int] | None = None,
) -> Pipeline:
    """Return what a placement and flows on its edges, in any unit, describe.

    Without chains (whole weights of routes) only routing by edges goes.
    """
    stages = [
        _placed_stage(problem, f"s{index}", placed) for index, placed in enumerate(network.stages)
    ]
    hosts = [placed.host for placed in network.stages]
    return _assemble(problem.spec, stages, hosts, flows, chains or {})


def _placed_stage(problem: Problem, name: str, placed: PlacedStage) -> StageModel:
    spec, group = problem.spec, problem.group_of(placed.kind)
    room = kv_room_tokens(spec.cluster, (spec.model, spec.workload), placed.layers, group)
    return _stage(spec, (name, placed.host, placed.layers), group, room)


def _stage(
    spec: Spec,
    place: tuple[str, str, Range],
    group: Sequence[tuple[DeviceType, ShardSizes]],
    kv_tokens: int,
) -> StageModel:
    name, host, layers = place
    sizes = (spec.model, spec.workload)
    steps = stage_steps(spec.cluster, sizes, group, spec.cluster.host_by_name[host].interconnect)
    profile = find_profile(spec.cluster, [device for device, _ in group])
    held = layers[1] - layers[0]
    return StageModel(
        name,
        layers,
        steps,
        kv_tokens,
        profile.kv_tokens[held - 1] if profile and held <= len(profile.kv_tokens) else None,
        _limit(profile.max_prompts if profile else (), held),
        _limit(profile.max_decode_tokens if profile else (), held),
    )


def _limit(by_layers: Sequence[int], held: int) -> int:
    """Return the limit for so many layers, or for the most that were measured."""
    return by_layers[min(held, len(by_layers)) - 1] if by_layers else NO_LIMIT


def _assemble(
    spec: Spec,
    stages: Sequence[StageModel],
    hosts: Sequence[str],
    flows: dict[tuple[int, int], float],
    chains: dict[tuple[int, ...], int],
) -> Pipeline:
    numbers = SharedCapacities(spec)
    edges = []
    for (source, target), flow in sorted(flows.items()):
        ends = (
            COORDINATOR if source == OUTSIDE else hosts[source],
            COORDINATOR if target == OUTSIDE else hosts[target],
        )
        bandwidth, latency = _reach(spec.cluster, *ends)
        num_bytes = token_bytes(spec.model, *ends)
        shared = numbers.of(*ends)
        edges.append(EdgeModel(source, target, bandwidth, latency, num_bytes, flow, shared))
    return Pipeline(
        spec.model.layers,
        tuple(stages),
        tuple(edges),
        tuple(RouteModel(chain, weight) for chain, weight in chains.items() if weight),
        tuple(float(shared.bytes_per_s) for shared in numbers.found),
        spec.model.hidden * spec.model.dtype_bytes,
    )


def _reach(cluster: Cluster, source: str, target: str) -> tuple[float, float]:
    """Return bytes/s and seconds of latency between two hosts that the flow joins."""
    way = cluster.host_by_name[source].interconnect if source == target else None
    link = way or cluster.link(source, target)
    assert link is not None, "a flow goes only where the network has an arc"
    return float(link.bandwidth_bytes_per_s), float(link.latency_s)
