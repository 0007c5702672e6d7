"""A small valid plan of one stage of four devices that share tokens in two groups, made by hand.

`test_check_groups_by_hand.py` walks through the sums.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod

from support.changes import broken, change_memory, change_stage
from support.plan_parts import (
    BIG,
    COORDINATOR,
    MODEL,
    host,
    layer_tensors,
    link,
    shards,
    stage,
)
from support.shared_plans import (
    ALPHA,
    BANDWIDTH,
    HALF,
    MATRICES,
    READING,
    START,
    WHOLE,
    Figures,
    memory_of,
    one_stage_plan,
)

from hexplan.cluster import Cluster, Limits
from hexplan.plan import DeviceMemory

QUAD = Cluster(
    name="quad",
    hosts=(host("quad", (BIG,) * 4),),
    coordinator=COORDINATOR,
    links=(link("lab", "lab"),),
    device_types=(BIG,),
    limits=Limits(chunk_tokens=61, parallel=("tp", "sp", "shift")),
)
KV_TOKENS = 2904
QUARTER = 10_880
"""Numbers of a layer's shard that has a quarter of its heads and channels."""
SPEED = "9966.250794"
SHIFT_TOKENS = 36
"""Exactly as many as decode at once, whose steps are therefore tensor parallel."""


def _memory(device: int) -> DeviceMemory:
    """Return the memory of one device: half of each layer, and a quarter of the vocabulary."""
    layer = sum(map(prod, layer_tensors(MODEL, 32, 16, 80)))
    weights = 2 * (6 * layer + 2 * 32 * 64 + 64)
    rows = 31  # of 61 tokens in a step
    own = rows * (4 * 64 + 32 + 16 + 16 + 2 * 80)
    all_tokens = 2 * rows * (16 + 8 + 8 + 64)
    workspace = 2 * (own + all_tokens) + 256 * 32 * 4
    kv = KV_TOKENS * 6 * 2 * 8 * 2
    return memory_of(device, weights, kv, workspace)


def split_s(tokens: int) -> Fraction:
    """Return the seconds of a layer for a step that two groups share out, attention apart."""
    rows = -(-tokens // 2)
    work = Fraction(2 * HALF * rows, MATRICES) + Fraction(2 * HALF, READING)
    # Queries, keys, values of half the heads, and what attention gives back; half of it leaves.
    there_and_back = 2 * START + Fraction(rows * (32 + 16 + 16 + 32) * 2, 2 * BANDWIDTH)
    # Between two devices, all that is summed up goes over the wire once in each direction.
    sums = 2 * (ALPHA + Fraction(rows * 64 * 2, BANDWIDTH))
    gather = START + Fraction(rows * 64 * 2, BANDWIDTH)
    return work + there_and_back + sums + gather / 6


def tensor_s(tokens: int) -> Fraction:
    """Return the seconds of a layer for a step of shards on four devices, attention apart."""
    reduce = ALPHA + Fraction(3 * tokens * 64 * 2, 2 * BANDWIDTH)
    return Fraction(2 * QUARTER * tokens, MATRICES) + Fraction(2 * QUARTER, READING) + 2 * reduce


GROUPED = one_stage_plan(
    QUAD,
    stage(MODEL, "s0", ("quad", (0, 6)), (), (KV_TOKENS, SPEED, SPEED)).model_copy(
        update={
            "parallel": "shift",
            "shift_tokens": SHIFT_TOKENS,
            "sp_degree": 2,
            "shards": shards(1, 1, 1, 1),
            "memory": tuple(map(_memory, range(4))),
        }
    ),
    Figures(SPEED, "124.578134", "4983.125397", "14949.376191", "24.084659"),
)
BROKEN_GROUPED = (
    broken(
        "groups said to be of one device each",
        change_stage(GROUPED, 0, sp_degree=None),
        "HEX301",
        "HEX302",
        "HEX401",
    ),
    broken(
        "a degree that does not divide the devices",
        change_stage(GROUPED, 0, sp_degree=3),
        "HEX212",
        "HEX301",
        "HEX302",
        "HEX401",
    ),
    broken(
        "a degree that is the number of devices, which plans leave out",
        change_stage(GROUPED, 0, sp_degree=4),
        "HEX212",
        "HEX301",
        "HEX302",
        "HEX401",
    ),
    broken(
        "a degree of a stage that shares out no tokens",
        change_stage(GROUPED, 0, parallel="tp", shift_tokens=None),
        "HEX214",
        "HEX302",
        "HEX306",
        "HEX401",
    ),
    broken(
        "a threshold between two rows of two groups",
        change_stage(GROUPED, 0, shift_tokens=37),
        "HEX407",
    ),
    broken(
        "the threshold of devices that each have tokens of their own",
        change_stage(GROUPED, 0, shift_tokens=40),
        "HEX407",
    ),
    broken(
        "weights of whole layers, of which a device holds half",
        change_memory(
            GROUPED, 0, 0, weights_bytes=6 * 2 * (WHOLE - HALF), free_bytes=-6 * 2 * (WHOLE - HALF)
        ),
        "HEX302",
    ),
    broken(
        "no room for the rows of half a layer",
        change_memory(GROUPED, 0, 1, workspace_bytes=-2 * 31 * 224, free_bytes=2 * 31 * 224),
        "HEX302",
    ),
)
