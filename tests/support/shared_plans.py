"""Two small valid plans of one stage that shares tokens, made by hand as those of `plans`.

`test_check_shared_by_hand.py` walks through the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Literal

from support.changes import broken, change_memory, change_plan, change_stage
from support.plan_parts import (
    BIG,
    COORDINATOR,
    MODEL,
    WORKLOAD,
    certificate,
    edge,
    host,
    layer_tensors,
    link,
    route,
    shards,
    stage,
)
from support.plans import resealed

from hexplan.cluster import Cluster, Limits
from hexplan.model import WeightFormat
from hexplan.plan import DeviceMemory, Plan, SolveInfo, Stage, inputs_sha256
from hexplan.predicted import Basis, Predicted

PAIR = Cluster(
    name="pair",
    hosts=(host("pair", (BIG, BIG)),),
    coordinator=COORDINATOR,
    links=(link("lab", "lab"),),
    device_types=(BIG,),
    limits=Limits(chunk_tokens=61, parallel=("tp", "sp", "shift")),
)
OTHER = BIG.model_copy(update={"name": "Other"})
KV_TOKENS = 627
MICRO = Fraction(1, 1_000_000)
WHOLE, HALF = 43_136, 21_632
"""Numbers of a layer, and of the shard that has half of its heads and channels."""
ALPHA, BANDWIDTH = 10 * MICRO, 100_000_000
START = 2 * ALPHA
"""Of an exchange, which takes twice as long to start as a reduce."""
MATRICES, READING = 2_000_000_000, 700_000_000
"""What is reached: half of 4 Gflop/s, and 0.7 of 1 GB/s."""


def pair_plan(parallel: Literal["sp", "shift"]) -> Plan:
    """Return a stage of two devices that holds the whole model on each."""
    speed, requests, least, most, gap = {
        "sp": ("4795.491846", "59.943648", "2397.745923", "7193.237769", "51.132296"),
        "shift": ("5323.41946", "66.542743", "2661.70973", "7985.12919", "45.962296"),
    }[parallel]
    made = stage(MODEL, "s0", ("pair", (0, 6)), (), (KV_TOKENS, speed, speed)).model_copy(
        update={
            "parallel": parallel,
            "shift_tokens": 54 if parallel == "shift" else None,
            "shards": shards(2, 2),
            "memory": (_memory(0), _memory(1)),
        }
    )
    return one_stage_plan(PAIR, made, Figures(speed, requests, least, most, gap))


@dataclass(frozen=True, slots=True)
class Figures:
    """What a plan of one stage states, as decimal texts."""

    speed: str
    requests: str
    least: str
    most: str
    gap: str


def one_stage_plan(cluster: Cluster, made: Stage, figures: Figures) -> Plan:
    """Return the plan of one stage that holds the whole model."""
    speed = figures.speed
    return Plan(
        cluster=cluster,
        cluster_sha256=cluster.sha256,
        model=MODEL,
        workload=WORKLOAD,
        inputs_sha256=inputs_sha256(MODEL, WORKLOAD, "throughput"),
        stages=(made,),
        edges=(
            edge("entry", "s0", 0, "250000", speed, "1"),
            edge("s0", "exit", 6, "250000", speed, "1"),
        ),
        routes=(route((("s0", 0),), speed, "1"),),
        unused=(),
        predicted=Predicted(
            tokens_per_s=Decimal(speed),
            requests_per_s=Decimal(figures.requests),
            least_tokens_per_s=Decimal(figures.least),
            most_tokens_per_s=Decimal(figures.most),
            rests_on=(Basis(origin="datasheet", share=Decimal(1)),),
        ),
        certificate=certificate(speed, (("stage:s0", "1", speed),), speed, figures.gap),
        solve=SolveInfo(wall_s=0.0, seed=0, versions={"hexplan": "by hand"}),
    )


def memory_of(device: int, weights: int, kv: int, workspace: int) -> DeviceMemory:
    """Return what a device of 900,000 bytes holds, in bytes, and what is left."""
    return DeviceMemory(
        device=device,
        budget_bytes=900_000,
        weights_bytes=weights,
        kv_bytes=kv,
        workspace_bytes=workspace,
        free_bytes=900_000 - weights - kv - workspace,
    )


def _memory(device: int) -> DeviceMemory:
    """Return the memory of one device: whole layers, and half of the vocabulary."""
    layer = sum(map(prod, layer_tensors(MODEL, 64, 32, 160)))
    weights = 2 * (6 * layer + 2 * 64 * 64 + 64)
    rows = 31  # of 61 tokens in a step
    own = rows * (4 * 64 + 64 + 32 + 32 + 2 * 160)
    all_tokens = 2 * rows * (32 + 16 + 16 + 64)
    workspace = 2 * (own + all_tokens) + 256 * 64 * 4
    kv = KV_TOKENS * 6 * 2 * 16 * 2
    return memory_of(device, weights, kv, workspace)


def split_s(tokens: int) -> Fraction:
    """Return the seconds of a layer for a step that is split by tokens, attention apart."""
    rows = -(-tokens // 2)
    work = Fraction(2 * WHOLE * rows, MATRICES) + Fraction(2 * WHOLE, READING)
    # Queries, keys, values, and what attention gives back; half of it is for the other device.
    there_and_back = 2 * START + Fraction(rows * (64 + 32 + 32 + 64) * 2, 2 * BANDWIDTH)
    gather = START + Fraction(rows * 64 * 2, BANDWIDTH)
    return work + there_and_back + gather / 6


def tensor_s(tokens: int) -> Fraction:
    """Return the seconds of a layer for a step of shards, attention apart."""
    reduce = ALPHA + Fraction(tokens * 64 * 2, BANDWIDTH)
    return Fraction(2 * HALF * tokens, MATRICES) + Fraction(2 * HALF, READING) + 2 * reduce


SP, SHIFT = pair_plan("sp"), pair_plan("shift")
UNLIKE = (PAIR.hosts[0].model_copy(update={"devices": ("Big", "Other")}),)
WIDE_BLOCKS = MODEL.model_copy(
    update={"weights": WeightFormat(name="fp8", block_rows=32, block_columns=32)}
)
BROKEN_SHARED = (
    broken(
        "tokens shared by devices of two types",
        resealed(SP, hosts=UNLIKE, device_types=(BIG, OTHER)),
        "HEX212",
    ),
    broken(
        "tokens shared by devices of unlike heads",
        change_stage(SP, 0, shards=shards(3, 1)),
        "HEX212",
        "HEX301",
        "HEX302",
        "HEX401",
    ),
    broken(
        "shards that part blocks of weights, and so are no views of them",
        change_plan(SHIFT, model=WIDE_BLOCKS),
        "HEX212",
        "HEX302",
        "HEX306",
        "HEX401",
    ),
    broken(
        "a way to share that the user does not allow",
        resealed(SP, limits=Limits(chunk_tokens=61, parallel=("tp", "shift"))),
        "HEX213",
    ),
    broken(
        "a threshold of a stage that never shifts", change_stage(SP, 0, shift_tokens=54), "HEX214"
    ),
    broken(
        "a stage that shifts nobody knows when",
        change_stage(SHIFT, 0, shift_tokens=None),
        "HEX214",
        "HEX401",
    ),
    broken("a threshold too low", change_stage(SHIFT, 0, shift_tokens=52), "HEX407"),
    broken("a threshold too high", change_stage(SHIFT, 0, shift_tokens=56), "HEX407"),
    broken("a threshold between two rows", change_stage(SHIFT, 0, shift_tokens=55), "HEX407"),
    broken(
        "a threshold beyond every step",
        change_stage(SHIFT, 0, shift_tokens=10**23),
        "HEX401",
        "HEX407",
    ),
    broken(
        "no room for the rows that are gathered",
        change_memory(SP, 0, 1, workspace_bytes=-2 * 62 * 64, free_bytes=2 * 62 * 64),
        "HEX302",
    ),
    broken(
        "weights of a shard alone",
        change_memory(
            SHIFT, 0, 0, weights_bytes=-(534_144 - 276_096), free_bytes=534_144 - 276_096
        ),
        "HEX302",
    ),
    broken(
        "a stage said to be tensor parallel that has the room of whole layers",
        change_stage(SP, 0, parallel="tp"),
        "HEX302",
        "HEX306",
        "HEX401",
    ),
)
