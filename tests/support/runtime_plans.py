"""Plans for the runtime's tests: the placement and the routes are real, the predictions are not."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hexplan.bound_proof import CoordinatorProof
from hexplan.cluster import COORDINATOR, Cluster, Coordinator, Link
from hexplan.device import DeviceType
from hexplan.field_types import Range
from hexplan.host import Host, Interconnect
from hexplan.model import Model
from hexplan.plan import (
    ENTRY,
    EXIT,
    Certificate,
    Edge,
    Hop,
    Plan,
    Route,
    Shard,
    SolveInfo,
    Stage,
    inputs_sha256,
)
from hexplan.predicted import Predicted
from hexplan.step_limits import StepLimits
from hexplan.techniques import Interleave, KvOffload
from hexplan.workload import Lengths, Workload

ONE = Decimal(1)
GIGABYTE = 10**9
HOST = "laptop"

StageSpec = tuple[Range, Sequence[int]]
"""Layers `[first, end)` and each device's share, such as `(2, 1)`."""


def bare_model(layers: int) -> Model:
    """Return the sizes of a model for tests that run none of its layers."""
    return Model(
        name="bare",
        family="llama",
        layers=layers,
        hidden=8,
        heads=2,
        kv_heads=1,
        head_dim=4,
        ffn=8,
        vocab=16,
        dtype="float32",
        max_context=10**6,
    )


def make_plan(
    model: Model,
    stages: Sequence[StageSpec],
    routes: Sequence[tuple[Sequence[int], int]] | None = None,
    kv_tokens: int = 4096,
    prompt_max: int = 256,
    step_limits: StepLimits | None = None,
) -> Plan:
    """Return a plan.

    Parameters
    ----------
    routes
        Each a chain of stage indices and a weight in percent; the chain of all stages if None.
    """
    chains = routes or [(range(len(stages)), 100)]
    made = tuple(
        make_stage(model, index, spec, kv_tokens, first_device(stages, index))
        for index, spec in enumerate(stages)
    )
    planned_routes = tuple(make_route(made, chain, percent) for chain, percent in chains)
    cluster = make_cluster(sum(len(shares) for _, shares in stages))
    workload = Workload(
        prompt_tokens=Lengths(mean=min(32, prompt_max), max=prompt_max),
        output_tokens=Lengths(mean=16, max=64),
    )
    return Plan(
        cluster=cluster,
        cluster_sha256=cluster.sha256,
        model=model,
        workload=workload,
        inputs_sha256=inputs_sha256(model, workload, "throughput"),
        stages=made,
        edges=make_edges(made, planned_routes),
        routes=planned_routes,
        step_limits=step_limits,
        unused=(),
        predicted=Predicted(
            tokens_per_s=ONE,
            requests_per_s=ONE,
            least_tokens_per_s=ONE,
            most_tokens_per_s=ONE,
            rests_on=(),
        ),
        certificate=Certificate(
            flow_tokens_per_s=ONE,
            cut=(),
            cut_tokens_per_s=ONE,
            bound_tokens_per_s=ONE,
            proof=CoordinatorProof(),
            gap=Decimal(0),
            status="feasible",
        ),
        solve=SolveInfo(wall_s=0.0, seed=0, versions={}),
    )


def without_way_back(plan: Plan) -> Plan:
    """Return the plan with its last stage on another host, from which no link leads to the first.

    Its tokens must go by way of the coordinator.
    """
    *others, last = plan.stages
    (link,) = plan.cluster.links
    (host,) = plan.cluster.hosts
    away = host.model_copy(update={"name": "tower", "site": "attic"})
    ends = [("desk", "desk"), ("desk", "attic"), ("attic", COORDINATOR)]
    links = [link.model_copy(update={"source": one, "target": other}) for one, other in ends]
    cluster = plan.cluster.model_copy(update={"hosts": (host, away), "links": tuple(links)})
    stages = (*others, last.model_copy(update={"host": away.name}))
    return plan.model_copy(update={"cluster": cluster, "stages": stages})


def first_device(stages: Sequence[StageSpec], index: int) -> int:
    """Return the first device of a stage, where stages use devices in turn."""
    return sum(len(shares) for _, shares in stages[:index])


def make_stage(model: Model, index: int, spec: StageSpec, kv_tokens: int, device: int) -> Stage:
    """Return a stage whose intervals follow the shares."""
    layers, shares = spec
    kv_heads = model.as_held_by(len(shares)).kv_heads
    heads, ffn, vocab = (cut(size, shares) for size in (kv_heads, model.ffn, model.vocab))
    shards = tuple(
        Shard(device=device + rank, kv_heads=heads[rank], ffn=ffn[rank], vocab=vocab[rank])
        for rank in range(len(shares))
    )
    return Stage(
        id=f"s{index}",
        host=HOST,
        layers=layers,
        shards=shards,
        memory=(),
        kv_tokens=kv_tokens,
        capacity_tokens_per_s=ONE,
        load_tokens_per_s=ONE,
        speed_origin="none, this plan is for a test",
        speed_error=Decimal(0),
    )


def cut(size: int, shares: Sequence[int]) -> list[Range]:
    """Cut `[0, size)` in proportion to the shares."""
    ends = [size * sum(shares[: rank + 1]) // sum(shares) for rank in range(len(shares))]
    return list(zip([0, *ends], ends, strict=False))


def make_route(stages: Sequence[Stage], chain: Sequence[int], percent: int) -> Route:
    """Return the route that goes through these stages, each entered where the last one ends."""
    hops, layer = [], 0
    for index in chain:
        hops.append(Hop(stage=stages[index].id, enter_layer=layer))
        layer = stages[index].layers[1]
    return Route(hops=tuple(hops), tokens_per_s=ONE, weight=Decimal(percent) / 100)


def make_edges(stages: Sequence[Stage], routes: Sequence[Route]) -> tuple[Edge, ...]:
    """Return the edges of all routes."""
    end_of = {stage.id: stage.layers[1] for stage in stages} | {ENTRY: 0}
    chains = [(ENTRY, *(hop.stage for hop in route.hops), EXIT) for route in routes]
    pairs = dict.fromkeys(pair for chain in chains for pair in zip(chain, chain[1:], strict=False))
    return tuple(
        Edge(
            source=source,
            target=target,
            enter_layer=end_of[source],
            capacity_tokens_per_s=ONE,
            tokens_per_s=ONE,
            weight=ONE,
        )
        for source, target in pairs
    )


def make_cluster(num_devices: int) -> Cluster:
    """Return one host with CPU slots."""
    slot = DeviceType(
        name="slot",
        kind="cpu",
        memory_bytes=GIGABYTE,
        memory_bandwidth_bytes_per_s=GIGABYTE,
        compute_flops_per_s=GIGABYTE,
        origin="made up",
    )
    wire = Interconnect(bandwidth_bytes_per_s=GIGABYTE, latency_s=Decimal(0))
    host = Host(
        name=HOST,
        site="desk",
        devices=("slot",) * num_devices,
        interconnect=wire,
        nic_in_bytes_per_s=GIGABYTE,
        nic_out_bytes_per_s=GIGABYTE,
    )
    return Cluster(
        name="one laptop",
        hosts=(host,),
        coordinator=Coordinator(
            site="desk", nic_in_bytes_per_s=GIGABYTE, nic_out_bytes_per_s=GIGABYTE
        ),
        links=(
            Link(
                source="desk",
                target="desk",
                bandwidth_bytes_per_s=GIGABYTE,
                latency_s=Decimal(0),
            ),
        ),
        device_types=(slot,),
    )


def sharing(plan: Plan, shift_tokens: int | None = None, sp_degree: int | None = None) -> Plan:
    """Return the plan with its teams sharing out tokens: always, or only in larger steps."""
    update = {
        "parallel": "sp" if shift_tokens is None else "shift",
        "shift_tokens": shift_tokens,
        "sp_degree": sp_degree,
    }
    stages = (stage.model_copy(update=update) if stage.tp > 1 else stage for stage in plan.stages)
    return plan.model_copy(update={"stages": tuple(stages)})


def interleaving(plan: Plan, from_tokens: int = 2, piece_tokens: int = 3) -> Plan:
    """Return the plan with its teams running steps of so many tokens and more in two lanes."""
    how = Interleave(from_tokens=from_tokens, piece_tokens=piece_tokens, slowdown=ONE)
    stages = (
        stage.model_copy(update={"interleave": how}) if stage.tp > 1 else stage
        for stage in plan.stages
    )
    return plan.model_copy(update={"stages": tuple(stages)})


def with_everything(plan: Plan, shift_tokens: int, sp_degree: int | None = None) -> Plan:
    """Return the plan whose stages shift, interleave, and keep KV in host memory, in this order.

    Decodes choose what they fetch from host memory, and choose all of it.
    """
    shared = sharing(plan, shift_tokens, sp_degree)
    made = shared, interleaving(plan, from_tokens=5), offloading(plan, "0.999")
    stages = tuple(one.stages[number] for number, one in enumerate(made))
    return plan.model_copy(update={"stages": stages})


def offloading(plan: Plan, fraction: str) -> Plan:
    """Return the plan with its stages keeping KV in host memory, of all layers but their first."""
    stages = (
        stage.model_copy(
            update={
                "kv_offload": KvOffload(
                    from_layer=stage.layers[0] + 1,
                    fraction=Decimal(fraction),
                    link_bytes_per_s=GIGABYTE,
                    kv_tokens=stage.kv_tokens,
                )
            }
        )
        for stage in plan.stages
    )
    return plan.model_copy(update={"stages": tuple(stages)})
