"""Plans that break memory or speed."""

from __future__ import annotations

from decimal import Decimal

from support.changes import (
    broken,
    change_certificate,
    change_kv_tokens,
    change_memory,
    change_plan,
    change_route,
    change_stage,
)
from support.plan_parts import FABRIC, profile
from support.plans import mixed_stage_plan, profiled_plan, resealed, two_hosts_plan

from hexplan.cluster import Limits, Profile
from hexplan.model import Model
from hexplan.step_limits import StepLimits
from hexplan.workload import Lengths

TWO = two_hosts_plan()
PROFILED = profiled_plan()
MIXED = mixed_stage_plan()
MIXED_MEMORY = MIXED.stages[0].memory
BIG_HOST, SMALL_HOST = TWO.cluster.hosts
SLOW_BIG_HOST = BIG_HOST.model_copy(
    update={"interconnect": FABRIC.model_copy(update={"latency_s": Decimal("0.0001")})}
)
BIG_PAIR = Profile(device="Big", tp=2, tokens_per_s=(Decimal(9999),) * 4, source="by hand")
BIG_OLD = TWO.cluster.device_types[0].model_copy(update={"bfloat16": False})
SMALL_FRAMEWORK = TWO.cluster.device_types[1].model_copy(update={"overhead_bytes": 1000})
SMALL_SHARED = TWO.cluster.device_types[1].model_copy(update={"in_use_bytes": 1000})
QUICK_PROFILE, SLOW_PROFILE = PROFILED.cluster.profiles


def _model(model: Model, **update: object) -> Model:
    return model.model_copy(update=update)


def _lengths(side: str, mean: int, longest: int) -> object:
    return TWO.workload.model_copy(update={side: Lengths(mean=mean, max=longest)})


def _capacity(rate: str) -> dict[str, Decimal]:
    return {"capacity_tokens_per_s": Decimal(rate)}


MEMORY = (
    broken("one KV token more than fits", change_kv_tokens(PROFILED, 0, 1), "HEX301"),
    broken("one KV token less than fits", change_kv_tokens(PROFILED, 0, -1), "HEX306"),
    broken(
        "a budget that the new memory fraction does not give",
        resealed(TWO, limits=Limits(memory_fraction=Decimal("0.8"), chunk_tokens=100)),
        "HEX301",
        "HEX302",
    ),
    broken(
        "weights without their last byte",
        change_memory(TWO, 0, 1, weights_bytes=-1, free_bytes=1),
        "HEX302",
    ),
    broken(
        "workspace for one activation too few",
        change_memory(TWO, 1, 0, workspace_bytes=-2, free_bytes=2),
        "HEX302",
    ),
    broken(
        "a KV cache of another size than its tokens",
        change_memory(TWO, 1, 0, kv_bytes=-256, free_bytes=256),
        "HEX302",
    ),
    broken(
        "a budget above the fraction of the memory",
        change_memory(TWO, 1, 0, budget_bytes=1, free_bytes=1),
        "HEX302",
    ),
    broken(
        "a second table that nobody made room for",
        change_plan(MIXED, model=_model(MIXED.model, tied_embeddings=False)),
        "HEX301",
        "HEX302",
    ),
    broken(
        "biases that nobody made room for",
        change_plan(TWO, model=_model(TWO.model, qkv_bias=True)),
        "HEX301",
        "HEX302",
        "HEX401",
    ),
    broken("free memory that is not there", change_memory(TWO, 0, 0, free_bytes=1), "HEX303"),
    broken(
        "memory in another order than the shards",
        change_stage(MIXED, 0, memory=MIXED_MEMORY[::-1]),
        "HEX304",
    ),
    broken(
        "memory of one device left out",
        change_stage(MIXED, 0, memory=MIXED_MEMORY[:2]),
        "HEX304",
    ),
    broken(
        "no room for the longest request",
        change_plan(
            TWO,
            model=_model(TWO.model, max_context=1000),
            workload=_lengths("output_tokens", 20, 561),
        ),
        "HEX305",
    ),
    broken(
        "steps of more tokens than there is workspace for",
        change_plan(TWO, step_limits=StepLimits(tokens=101, decodes=1)),
        "HEX307",
    ),
    broken(
        "steps that leave less than a fourth to prompts",
        change_plan(TWO, step_limits=StepLimits(tokens=99, decodes=75)),
        "HEX307",
    ),
    broken(
        "a longer step, for which the workspace is too small",
        resealed(TWO, limits=Limits(chunk_tokens=101)),
        "HEX301",
        "HEX302",
    ),
)

SPEED = (
    broken(
        "a capacity above the profile",
        change_stage(PROFILED, 0, **_capacity("50.000001")),
        "HEX401",
    ),
    broken(
        "a capacity above the roofline",
        change_stage(TWO, 0, **_capacity("8539.085")),
        "HEX401",
    ),
    broken(
        "a capacity below the roofline",
        change_stage(TWO, 0, **_capacity("8539.084")),
        "HEX401",
    ),
    broken(
        "a datasheet where a profile speaks",
        resealed(TWO, profiles=(BIG_PAIR,)),
        "HEX401",
        "HEX405",
        "HEX408",
    ),
    broken(
        "an interconnect that is slower than the speed assumes",
        resealed(TWO, hosts=(SLOW_BIG_HOST, SMALL_HOST)),
        "HEX401",
    ),
    broken(
        "more layers than the profile was measured for",
        resealed(PROFILED, profiles=(QUICK_PROFILE, profile("Slow", "70"))),
        "HEX402",
    ),
    broken(
        "a load above the capacity",
        change_stage(PROFILED, 0, **_capacity("49")),
        "HEX401",
        "HEX403",
    ),
    broken(
        "a speed that is surer than its basis",
        change_stage(TWO, 0, speed_error=Decimal("0.4")),
        "HEX405",
    ),
    broken(
        "a model in a type that its devices lack",
        resealed(TWO, device_types=(BIG_OLD, TWO.cluster.device_types[1])),
        "HEX406",
    ),
    broken(
        "less memory than the overhead was counted for",
        resealed(TWO, device_types=(TWO.cluster.device_types[0], SMALL_FRAMEWORK)),
        "HEX301",
        "HEX302",
    ),
    broken(
        "memory that others use in part",
        resealed(TWO, device_types=(TWO.cluster.device_types[0], SMALL_SHARED)),
        "HEX301",
        "HEX302",
    ),
    broken(
        "a capacity between two steps",
        change_stage(TWO, 0, **_capacity("8539.0846105")),
        "HEX404",
    ),
    broken(
        "a bound between two steps",
        change_certificate(TWO, bound_tokens_per_s=Decimal("250000.0000001")),
        "HEX404",
    ),
    broken(
        "a weight between two steps",
        change_route(TWO, 0, weight=Decimal("0.5000000001")),
        "HEX404",
        "HEX606",
    ),
)

BROKEN_SIZES = MEMORY + SPEED
