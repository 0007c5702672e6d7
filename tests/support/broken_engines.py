"""Plans that their engine does not run, each claiming that it does; and some that it runs."""

from __future__ import annotations

from dataclasses import replace

from support.changes import broken, change_plan, change_shard, move_stage
from support.clusters import host, profile, spec_of, tiny_model
from support.engine_specs import for_engine
from support.joined_plans import joined_plan
from support.plans import mixed_stage_plan, profiled_plan, resealed, two_hosts_plan
from support.shared_plans import pair_plan

from hexplan.cluster import EngineName
from hexplan.model import WeightFormat
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve


def claiming(plan: Plan, engine: EngineName) -> Plan:
    """Return a plan that says that it is made for an engine, with the hash that follows."""
    return resealed(plan, limits=plan.cluster.limits.model_copy(update={"engine": engine}))


def _solved(spec: Spec) -> Plan:
    return solve(replace(spec, objective="throughput"), SolveOptions(time_limit_s=5))


TABLE = profile("d", [200, 100])
"""A device holds two layers at most, so that chains are long."""
CHAIN = _solved(
    spec_of(tiny_model(6, kv_heads=1), [host(f"h{i}", ["d"]) for i in range(3)], profiles=[TABLE])
)
"""Three stages on three hosts."""
PAIRS = _solved(
    spec_of(
        tiny_model(8, kv_heads=1), [host(f"h{i}", ["d", "d"]) for i in range(2)], profiles=[TABLE]
    )
)
"""Four stages, two and two on two hosts."""
SMALL_IS_ROCM = tuple(
    kind.model_copy(update={"kind": "rocm"} if kind.name == "Small" else {})
    for kind in two_hosts_plan().cluster.device_types
)
INT4 = WeightFormat(name="int4", block_columns=8, label="awq")
GOOD_ENGINES = (
    claiming(CHAIN, "vllm"),
    claiming(PAIRS, "sglang"),
    claiming(PAIRS, "llamacpp"),
    claiming(mixed_stage_plan(), "llamacpp"),
    claiming(two_hosts_plan(), "hexplan"),
    _solved(for_engine(spec_of(tiny_model(6), [host("h0", ["d"] * 4)]), "vllm")),
)
BROKEN_ENGINES = (
    broken(
        "a stage that two replicas would share",
        claiming(two_hosts_plan(), "vllm"),
        "HEX215",
        "HEX218",
        "HEX220",
    ),
    broken(
        "a stage that is entered inside",
        claiming(profiled_plan(), "sglang"),
        "HEX215",
        "HEX216",
    ),
    broken("tokens that the devices of a stage share", claiming(pair_plan("sp"), "vllm"), "HEX217"),
    broken("uneven shards", claiming(mixed_stage_plan(), "vllm"), "HEX219"),
    broken(
        "shards that are even but for one channel",
        change_shard(
            change_shard(claiming(pair_plan("sp"), "vllm"), 0, 0, ffn=(0, 81)), 0, 1, ffn=(81, 160)
        ),
        "HEX217",
        "HEX219",
    ),
    broken(
        "a replica that comes back to a machine",
        move_stage(move_stage(claiming(PAIRS, "vllm"), 1, "h1", 0), 2, "h0", 1),
        "HEX221",
    ),
    broken(
        "devices of two kinds in one replica",
        claiming(resealed(two_hosts_plan(), device_types=SMALL_IS_ROCM), "vllm"),
        "HEX215",
        "HEX218",
        "HEX220",
        "HEX222",
    ),
    broken(
        "a stage over two machines",
        claiming(joined_plan(), "llamacpp"),
        "HEX215",
        "HEX218",
        "HEX223",
    ),
    broken("a hop past the main host", claiming(CHAIN, "llamacpp"), "HEX224"),
    broken(
        "weights that llama.cpp does not read",
        claiming(
            change_plan(PAIRS, model=PAIRS.model.model_copy(update={"weights": INT4})), "llamacpp"
        ),
        "HEX225",
        "HEX302",
        "HEX306",
    ),
    broken(
        "a quantised KV cache that several devices share",
        claiming(
            change_plan(
                mixed_stage_plan(),
                model=mixed_stage_plan().model.model_copy(update={"kv_dtype": "fp8"}),
            ),
            "llamacpp",
        ),
        "HEX225",
        "HEX302",
        "HEX306",
        "HEX401",
    ),
)
