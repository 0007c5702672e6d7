"""What four devices hold of a model with two KV heads, as check counts it, and forged shards."""

from __future__ import annotations

import pytest
from support.runtime_plans import make_plan, sharing

from hexplan.check.bound.group_shards import group_shards
from hexplan.check.lookup import Lookup
from hexplan.check.stage.memory import device_needs
from hexplan.check.stage.shards import shard_violations
from hexplan.check.stage.sharing import obstacle
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import Plan

MODEL = Model(
    name="tiny",
    family="qwen2",
    layers=2,
    hidden=64,
    heads=8,
    kv_heads=2,
    head_dim=16,
    ffn=128,
    vocab=256,
    qkv_bias=True,
    dtype="float16",
    max_context=1000,
)
PLAN = make_plan(MODEL, [((0, 1), (1, 1, 1, 1)), ((1, 2), (1, 1))])


def test_each_device_has_a_copy_of_one_kv_head_and_a_quarter_of_the_query_heads() -> None:
    wide, narrow = (device_needs(Lookup.of(PLAN), stage) for stage in PLAN.stages)
    numbers = (32 + 16 + 16) * 64 + 64 * 32 + (32 + 16 + 16) + 3 * 64 * 32 + 2 * 64
    assert [need.weights_bytes for need in wide] == [2 * (numbers + 64 * 64)] * 4
    assert [need.kv_token_bytes for need in wide] == [2 * 16 * 2] * 4
    steps = 2 * 256 * (4 * 64 + 32 + 16 + 16 + 2 * 32)
    assert [need.workspace_bytes for need in wide] == [steps] * 4
    # Two devices have the query heads of a whole KV head each, and as many keys and values.
    numbers = (64 + 16 + 16) * 64 + 64 * 64 + (64 + 16 + 16) + 3 * 64 * 64 + 2 * 64
    assert [need.weights_bytes for need in narrow] == [2 * (numbers + 128 * 64 + 64)] * 2
    assert [need.kv_token_bytes for need in narrow] == [2 * 16 * 2] * 2


def test_devices_that_share_tokens_have_all_copies() -> None:
    plan = sharing(PLAN)
    lookup, stage = Lookup.of(plan), plan.stages[0]
    numbers = (128 + 64 + 64) * 64 + 64 * 128 + (128 + 64 + 64) + 3 * 64 * 128 + 2 * 64
    needs = device_needs(lookup, stage)
    assert [need.weights_bytes for need in needs] == [2 * (numbers + 64 * 64)] * 4
    assert [need.kv_token_bytes for need in needs] == [2 * 16 * 2] * 4
    assert obstacle(lookup, stage) == ""


def with_heads(heads: list[Range], model: Model = MODEL) -> Plan:
    """Return the plan with other KV heads on the devices of its first stage."""
    stage = PLAN.stages[0]
    pairs = zip(stage.shards, heads, strict=False)
    shards = [shard.model_copy(update={"kv_heads": one}) for shard, one in pairs]
    changed = stage.model_copy(update={"shards": tuple(shards)})
    return PLAN.model_copy(update={"model": model, "stages": (changed, *PLAN.stages[1:])})


def complaints(plan: Plan) -> set[str]:
    return {f.message for f in shard_violations(Lookup.of(plan)) if "kv_heads" in f.message}


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ([(0, 1), (0, 1), (1, 2), (1, 2)], "kv_heads end at 2, must end at 4"),
        ([(0, 1), (1, 2), (2, 3)], "kv_heads end at 3, must end at 2"),
        ([(0, 2), (2, 2), (2, 3), (3, 4)], "kv_heads [2, 2) is empty"),
        ([(1, 2), (0, 1), (2, 3), (3, 4)], "kv_heads [1, 2) must start at 0"),
    ],
)
def test_copies_follow_one_another_each_on_one_device(heads: list[Range], message: str) -> None:
    assert complaints(PLAN) == set()
    assert message in complaints(with_heads(heads))


def test_devices_that_do_not_divide_the_query_heads_cannot_have_copies() -> None:
    six = MODEL.model_copy(update={"heads": 6})
    every = with_heads([(0, 1), (1, 2), (2, 3), (3, 4)], six)
    assert complaints(every) == {"kv_heads end at 4, must end at 2"}


def test_the_bound_counts_groups_with_copies() -> None:
    (kind,) = PLAN.cluster.device_types
    slow = kind.model_copy(update={"name": "slow", "memory_bandwidth_bytes_per_s": 10})
    shards = group_shards(MODEL, [kind, kind, slow, kind])
    assert shards is None  # no channel for the slow one
    shards = group_shards(MODEL.model_copy(update={"ffn": 10**9}), [kind, kind, slow, kind])
    assert shards is not None
    assert [shard.kv_heads for shard in shards] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    for n in (3, 6, 16):
        assert group_shards(MODEL, [kind] * n) is None
