"""Parts of small plans, made by hand: no solver, no cost model and no check had a part in them.

Memory is added up over the tensors of a checkpoint, not by the closed formulas of
docs/formulation.md; speeds and KV rooms are given. The model is the same throughout but for its
width: 6 layers, 4 KV heads of 2 query heads each, 160 channels, 128 words.
"""

from __future__ import annotations

from decimal import Decimal
from math import prod

from hexplan.bound_proof import CoordinatorProof
from hexplan.cluster import Coordinator, Link, Profile
from hexplan.device import DeviceType
from hexplan.host import Host, Interconnect
from hexplan.model import Model
from hexplan.plan import (
    Certificate,
    CutTerm,
    DeviceMemory,
    Edge,
    Hop,
    Route,
    Shard,
    Stage,
)
from hexplan.workload import Lengths, Workload

MEGABYTE = 1_000_000
WORKLOAD = Workload(prompt_tokens=Lengths(mean=60, max=100), output_tokens=Lengths(mean=20, max=50))
MODEL = Model(
    name="tiny",
    family="llama",
    layers=6,
    hidden=64,
    heads=8,
    kv_heads=4,
    head_dim=8,
    ffn=160,
    vocab=128,
    dtype="bfloat16",
    max_context=256,
)
BIASED_MODEL = MODEL.model_copy(
    update={
        "family": "qwen3",
        "tied_embeddings": True,
        "qkv_bias": True,
        "out_bias": True,
        "ffn_bias": True,
        "qk_norm": True,
    }
)
WIDE_MODEL = MODEL.model_copy(update={"hidden": 96})
BIG = DeviceType(
    name="Big",
    kind="cuda",
    memory_bytes=MEGABYTE,
    memory_bandwidth_bytes_per_s=1_000_000_000,
    compute_flops_per_s=4_000_000_000,
    origin="by hand",
)
SMALL = DeviceType(
    name="Small",
    kind="cuda",
    memory_bytes=700_000,
    memory_bandwidth_bytes_per_s=300_000_000,
    compute_flops_per_s=1_200_000_000,
    origin="by hand",
)
FABRIC = Interconnect(bandwidth_bytes_per_s=100_000_000, latency_s=Decimal("0.00001"))
COORDINATOR = Coordinator(site="lab", nic_in_bytes_per_s=MEGABYTE, nic_out_bytes_per_s=MEGABYTE)


def host(name: str, devices: tuple[DeviceType, ...], site: str = "lab") -> Host:
    """Return a host with NICs of 1 MB/s."""
    return Host(
        name=name,
        site=site,
        devices=tuple(device.name for device in devices),
        interconnect=FABRIC if len(devices) > 1 else None,
        nic_in_bytes_per_s=MEGABYTE,
        nic_out_bytes_per_s=MEGABYTE,
    )


def link(
    source: str,
    target: str,
    bandwidth: int = MEGABYTE,
    trunk: int | None = None,
    under: tuple[str, str] | None = None,
) -> Link:
    """Return a one-way link rule."""
    return Link(
        source=source,
        target=target,
        bandwidth_bytes_per_s=bandwidth,
        latency_s=Decimal("0.001"),
        trunk_bytes_per_s=trunk,
        under=under,
    )


def profile(device: str, *rates: str) -> Profile:
    """Return a measured profile of single devices."""
    entries = tuple(Decimal(rate) for rate in rates)
    return Profile(device=device, tp=1, tokens_per_s=entries, source="by hand")


def shards(*heads: int, first_device: int = 0) -> tuple[Shard, ...]:
    """Return shards with these KV heads each, and 40 channels and 32 words a head."""
    found: list[Shard] = []
    first = 0
    for device, count in enumerate(heads, start=first_device):
        end = first + count
        found.append(
            Shard(
                device=device,
                kv_heads=(first, end),
                ffn=(40 * first, 40 * end),
                vocab=(32 * first, 32 * end),
            )
        )
        first = end
    return tuple(found)


def stage(
    model: Model,
    name: str,
    where: tuple[str, tuple[int, int]],
    parts: tuple[tuple[Shard, DeviceType], ...],
    figures: tuple[int, str, str],
    error: str = "0.5",
) -> Stage:
    """Return a stage: `where` is host and layers, `figures` KV tokens, capacity and load.

    The error is that of assumed efficiencies, or 0.1, that of a profile.
    """
    kv_tokens, capacity, load = figures
    origin = {"0.5": "datasheet", "0.1": "measured profile"}[error]
    return Stage(
        id=name,
        host=where[0],
        layers=where[1],
        shards=tuple(shard for shard, _ in parts),
        memory=tuple(memory(model, where[1], kv_tokens, *part) for part in parts),
        kv_tokens=kv_tokens,
        capacity_tokens_per_s=Decimal(capacity),
        load_tokens_per_s=Decimal(load),
        speed_origin=origin,
        speed_error=Decimal(error),
    )


def memory(
    model: Model, layers: tuple[int, int], kv_tokens: int, shard: Shard, device: DeviceType
) -> DeviceMemory:
    """Return the memory of one shard of a 16-bit model, summed over tensors."""
    heads, channels, words = (
        end - first for first, end in (shard.kv_heads, shard.ffn, shard.vocab)
    )
    keys = 8 * heads
    is_first, is_last = layers[0] == 0, layers[1] == 6
    tables = is_first + (is_last and not (model.tied_embeddings and is_first))
    numbers = sum(
        prod(shape) * (layers[1] - layers[0])
        for shape in layer_tensors(model, 2 * keys, keys, channels)
    )
    numbers += tables * words * model.hidden + is_last * model.hidden
    activations = 100 * (4 * model.hidden + 2 * keys + 2 * keys + 2 * channels)
    parts = (
        2 * numbers,
        kv_tokens * (layers[1] - layers[0]) * 2 * keys * 2,
        2 * activations + is_last * 256 * words * 4,
    )
    budget = device.memory_bytes * 9 // 10
    return DeviceMemory(
        device=shard.device,
        budget_bytes=budget,
        weights_bytes=parts[0],
        kv_bytes=parts[1],
        workspace_bytes=parts[2],
        free_bytes=budget - sum(parts),
    )


def layer_tensors(model: Model, queries: int, keys: int, channels: int) -> list[tuple[int, ...]]:
    """Return the shapes of one layer's tensors, as a checkpoint holds them."""
    width = model.hidden
    tensors: list[tuple[int, ...]] = [(queries, width), (keys, width), (keys, width)]
    tensors += [(width, queries), (channels, width), (channels, width), (width, channels)]
    tensors += [(width,), (width,)]
    tensors += [(queries,), (keys,), (keys,)] if model.qkv_bias else []
    tensors += [(width,)] if model.out_bias else []
    tensors += [(channels,), (channels,), (width,)] if model.ffn_bias else []
    tensors += [(8,), (8,)] if model.qk_norm else []
    return tensors


def edge(source: str, target: str, enter_layer: int, *figures: str) -> Edge:
    """Return an edge; `figures` are capacity, flow and weight."""
    capacity, flow, weight = figures
    return Edge(
        source=source,
        target=target,
        enter_layer=enter_layer,
        capacity_tokens_per_s=Decimal(capacity),
        tokens_per_s=Decimal(flow),
        weight=Decimal(weight),
    )


def route(hops: tuple[tuple[str, int], ...], flow: str, weight: str) -> Route:
    """Return a route; a hop is a stage and the layer where it is entered."""
    return Route(
        hops=tuple(Hop(stage=name, enter_layer=layer) for name, layer in hops),
        tokens_per_s=Decimal(flow),
        weight=Decimal(weight),
    )


def certificate(flow: str, terms: tuple[tuple[str, str, str], ...], *figures: str) -> Certificate:
    """Return a certificate; a term is its name, price and capacity; `figures` cut and gap.

    Its bound is that of the coordinator: 1 MB/s of token ids of 4 bytes.
    """
    cut, gap = figures
    return Certificate(
        flow_tokens_per_s=Decimal(flow),
        cut=tuple(
            CutTerm(constraint=name, price=Decimal(price), capacity=Decimal(capacity))
            for name, price, capacity in terms
        ),
        cut_tokens_per_s=Decimal(cut),
        bound_tokens_per_s=Decimal(250_000),
        proof=CoordinatorProof(),
        gap=Decimal(gap),
        status="feasible",
    )
