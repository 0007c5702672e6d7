"""Stages that share tokens: the planner takes the fastest way that the spec allows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.clusters import FAST, device_type, host, spec_of, tiny_model
from support.slow import slow
from support.weights import Piece, missing_bytes, pieces

from hexplan.check import check_plan
from hexplan.cluster import GroupPin, Limits, Parallel
from hexplan.cost import (
    DeviceShard,
    ShardSizes,
    StageShape,
    find_sharing,
    kv_room_tokens,
    stage_speed,
)
from hexplan.errors import SpecError
from hexplan.field_types import Range
from hexplan.host import Interconnect
from hexplan.model import Experts, WeightFormat
from hexplan.plan import Objective, Plan, Stage
from hexplan.reading import parse_spec
from hexplan.render import explanation_text
from hexplan.spec import Spec
from hexplan.workload import Lengths, Slo, Workload
from hexplan_solver import ReplanOptions, SolveOptions, explain, replan, solve
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.replan import changed, without

ALL: tuple[Parallel, ...] = ("tp", "sp", "shift")
WIRE = Interconnect(bandwidth_bytes_per_s=FAST, latency_s=Decimal("0.000000001"))
LONG = Workload(prompt_tokens=Lengths(mean=512, max=512), output_tokens=Lengths(mean=64, max=64))
"""Prompts are larger steps here than batches of decodes, which have at most 256 tokens."""
KIND = device_type("d")
SEARCH = SolveOptions(time_limit_s=5)


def pinned_spec(ways: tuple[Parallel, ...], hosts: int = 1, chunk: int = 512) -> Spec:
    """Return hosts of 4 devices that form one stage each."""
    names = [f"h{i}" for i in range(hosts)]
    wired = [host(name, ["d"] * 4).model_copy(update={"interconnect": WIRE}) for name in names]
    spec = spec_of(
        tiny_model(4),
        wired,
        group_pins=tuple(GroupPin(host=name, devices=(0, 1, 2, 3)) for name in names),
        limits=Limits(solve_time_s=5.0, chunk_tokens=chunk, parallel=ways),
    )
    return Spec(spec.cluster, spec.model, LONG)


def solved(spec: Spec) -> Plan:
    plan = solve(spec, SEARCH)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def speed_of(spec: Spec, parallel: Parallel, layers: Range) -> int:
    """Return the most that such a stage of the first host passes, straight from the cost model."""
    return max(speeds_of(spec, parallel, layers).values())


def speeds_of(spec: Spec, parallel: Parallel, layers: Range) -> dict[int | None, int]:
    """Return what it passes with each SP degree."""
    group = (DeviceShard(KIND, ShardSizes(1, 32, 64)),) * 4
    bare = StageShape(layers, group, spec.cluster.hosts[0].interconnect)
    found = {}
    for degree in (None,) if parallel == "tp" else (None, 2):
        sharing = find_sharing(parallel, spec.model, bare, degree)
        assert sharing is not None
        shape = replace(bare, sharing=sharing)
        speed = stage_speed(spec, shape, kv_room_tokens(spec, shape))
        found[degree] = speed.micro_tokens_per_s
    return found


def test_nothing_but_tensor_parallelism_is_planned_unless_the_spec_asks() -> None:
    bare = pinned_spec(("tp",))
    assert bare.cluster.limits == Limits(solve_time_s=5.0)
    assert {stage.parallel for stage in solved(bare).stages} == {"tp"}


@pytest.mark.parametrize("ways", [("tp",), ("sp",), ("shift",), ("tp", "sp"), ALL])
def test_a_stage_takes_the_fastest_way_that_is_allowed(ways: tuple[Parallel, ...]) -> None:
    spec = pinned_spec(ways)
    (stage,) = solved(spec).stages
    speeds = {way: speed_of(spec, way, (0, 4)) for way in ways}
    assert stage.capacity_tokens_per_s * 10**6 == max(speeds.values())
    assert speeds[stage.parallel] == max(speeds.values())
    assert (stage.shift_tokens is not None) == (stage.parallel == "shift")


def test_here_shift_is_the_fastest_of_whole_layers_and_two_groups_are_faster_still() -> None:
    """Batches of decodes are the larger steps there, so that shift equals sp, and is preferred."""
    spec = pinned_spec(ALL)
    shift, sequence, tensor = (speeds_of(spec, way, (0, 4)) for way in ("shift", "sp", "tp"))
    assert shift[None] > sequence[None] > tensor[None]
    assert shift[2] == sequence[2] > shift[None]
    (stage,) = solved(spec).stages
    assert (stage.parallel, stage.sp_degree, stage.token_groups) == ("shift", 2, 2)


@pytest.mark.parametrize("way", ["sp", "shift"])
def test_a_planned_degree_and_its_threshold_cannot_be_forged(way: Parallel) -> None:
    plan = solved(pinned_spec((way,)))
    (stage,) = plan.stages
    assert stage.sp_degree == 2
    changes: list[dict[str, object]] = [{"sp_degree": None}, {"sp_degree": 3}]
    if stage.shift_tokens is not None:
        assert stage.shift_tokens % 2 == 0
        changes += [{"shift_tokens": stage.shift_tokens + more} for more in (-2, 1, 2)]
    for forged in changes:
        other = plan.model_copy(update={"stages": (stage.model_copy(update=forged),)})
        assert check_plan(other) != ()


def test_the_speed_of_each_range_is_that_of_its_best_way() -> None:
    spec = pinned_spec(ALL, chunk=32)
    (kind,) = build_problem(spec).kinds
    for first, end in ((0, 1), (1, 2), (1, 3), (3, 4), (0, 4)):
        best = max(ALL, key=lambda way: speed_of(spec, way, (first, end)))
        assert kind.rates.of(first, end) == speed_of(spec, best, (first, end))
        assert kind.rates.sharing_of(first, end).parallel == best


@pytest.mark.parametrize("ways", [("sp",), ("shift", "sp")])
@pytest.mark.parametrize("devices", [1, 3])
def test_devices_that_cannot_share_tokens_stand_alone(
    devices: int, ways: tuple[Parallel, ...]
) -> None:
    """One device shares with nobody, and 4 KV heads are not for 3 devices."""
    spec = spec_of(
        tiny_model(4), [host("h", ["d"] * devices)], limits=Limits(solve_time_s=5.0, parallel=ways)
    )
    sizes = {(len(stage.shards), stage.parallel) for stage in solved(spec).stages}
    assert sizes <= {(1, "tp"), (2, "sp"), (2, "shift")}


def test_a_method_that_chooses_degrees_gets_plans_that_pass_too() -> None:
    pinned = pinned_spec(ALL, hosts=2)
    free = pinned.cluster.model_copy(update={"group_pins": ()})
    plan = solve(Spec(free, pinned.model, LONG), replace(SEARCH, method="symmetric"))
    assert check_plan(plan) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"experts": Experts(total=8, active=2)},
        {"weights": WeightFormat(name="int4", block_columns=16, zero_bits=4)},
        {"weights": WeightFormat(name="fp8", block_rows=16, block_columns=16), "kv_dtype": "fp8"},
        {"qkv_bias": True, "out_bias": True, "ffn_bias": True, "qk_norm": True},
        {"tied_embeddings": True, "heads": 8},
        {"ffn": 130},
    ],
)
@pytest.mark.parametrize("way", ["sp", "shift"])
def test_the_check_finds_the_same_figures_for_every_kind_of_model(
    change: dict[str, object], way: Parallel
) -> None:
    spec = pinned_spec((way,), chunk=100)
    plan = solved(Spec(spec.cluster, spec.model.model_copy(update=change), spec.workload))
    assert {stage.parallel for stage in plan.stages} == {way}


@pytest.mark.parametrize("objective", ["latency", "sustained", slow("slo"), "cost"])
def test_every_objective_takes_stages_that_share_tokens(objective: Objective) -> None:
    spec = pinned_spec(("shift",), hosts=2)
    priced = tuple(
        host.model_copy(update={"price_usd_per_h": Decimal(1)}) for host in spec.cluster.hosts
    )
    cluster = spec.cluster.model_copy(update={"hosts": priced})
    load = Workload(
        prompt_tokens=Lengths(mean=300, max=1000),
        output_tokens=Lengths(mean=64, max=200),
        request_rate_per_s=20.0,
        slo=Slo(ttft_s=Decimal(5), tpot_s=Decimal(1), attainment=Decimal("0.9")),
    )
    plan = solve(Spec(cluster, spec.model, load, objective), SEARCH)
    assert [str(violation) for violation in check_plan(plan)] == []
    assert {stage.parallel for stage in plan.stages} == {"shift"}


def held_by(stage: Stage, plan: Plan) -> dict[int, dict[Piece, int]]:
    """Return every piece of weights on each device."""
    model = plan.model
    found = {}
    for shard in stage.shards:
        whole = ((0, model.kv_heads), (0, model.ffn))
        cuts = (shard.kv_heads, shard.ffn) if stage.parallel == "tp" else whole
        found[shard.device] = pieces(model, stage.layers, *cuts, shard.vocab)
    return found


@pytest.mark.parametrize("ways", [("sp",), ALL])
def test_a_replan_keeps_stages_as_they_are_and_counts_whole_layers(
    ways: tuple[Parallel, ...],
) -> None:
    plan = solved(pinned_spec(ways, hosts=3))
    gone = plan.stages[0].host
    spec = without(Spec(plan.cluster, plan.model, plan.workload), [(gone, None)])
    done = replan(plan, spec, ReplanOptions(max_loss=Decimal("0.05"), search=SEARCH))
    assert check_plan(done.plan) == ()
    before = {
        (stage.host, device): held
        for stage in plan.stages
        for device, held in held_by(stage, plan).items()
    }
    count = sum(
        missing_bytes(plan.model, before.get((stage.host, device), {}), held)
        for stage in done.plan.stages
        for device, held in held_by(stage, plan).items()
    )
    assert done.summary.moved_bytes == count
    assert {stage.parallel for stage in done.plan.stages} == {s.parallel for s in plan.stages}


def test_a_stage_in_a_way_that_is_not_allowed_any_more_is_gone() -> None:
    plan = solved(pinned_spec(("sp",), hosts=2))
    spec = pinned_spec(("tp",), hosts=2)
    done = replan(plan, changed(spec), ReplanOptions(search=SEARCH))
    assert check_plan(done.plan) == ()
    assert {stage.parallel for stage in done.plan.stages} == {"tp"}
    assert len(done.summary.gone) == len(plan.stages)


def test_an_explanation_names_the_way_of_a_stage_and_of_its_alternatives() -> None:
    spec = pinned_spec(ALL)
    plan = solved(spec)
    free = plan.cluster.model_copy(update={"group_pins": ()})
    plan = plan.model_copy(update={"cluster": free, "cluster_sha256": free.sha256})
    explanation = explain(plan, SEARCH)
    (degree,) = explanation.degrees
    assert (degree.parallel, degree.sp_degree) == ("shift", 2)
    assert (plan.stages[0].parallel, plan.stages[0].sp_degree) == ("shift", 2)
    pairs = [o for o in degree.options if len(o.groups) == 2 and o.tokens_per_s is not None]
    assert pairs
    assert {way for option in pairs for way in option.parallel} <= {"tp", "sp", "shift"}
    assert not any(degree for option in pairs for degree in option.sp_degrees)
    assert "s0: Shift2x2 of 4 x d, 4 layers" in " ".join(explanation_text(explanation).split())


SPEC = """
version: 1
name: pair
model: llama-2-7b
workload: {prompt_tokens: {mean: 1000, max: 2000}, output_tokens: {mean: 100, max: 200}}
hosts:
  - {name: a, site: x, devices: 4 x H100, interconnect: nvlink, nic: 10Gbps}
coordinator: {site: x, nic: 10Gbps}
links:
  - {within: x, bandwidth: 10Gbps, latency: 0.1ms}
pin: [{same_stage: [a/0, a/1, a/2, a/3]}]
limits: {parallel: PARALLEL, chunk_tokens: 2048, time: 5s}
"""


def test_a_spec_allows_ways_by_name(tmp_path: Path) -> None:
    spec = parse_spec(SPEC.replace("PARALLEL", "[tp, shift]"), tmp_path / "cluster.yaml")
    assert spec.cluster.limits.parallel == ("tp", "shift")
    assert solved(spec).certificate.flow_tokens_per_s > 0


@pytest.mark.parametrize("text", ["[]", "[dp]", "sp"])
def test_a_way_that_nobody_knows_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="parallel"):
        parse_spec(SPEC.replace("PARALLEL", text), tmp_path / "cluster.yaml")


def test_links_within_a_host_count_for_stages_that_share_tokens() -> None:
    """Faster wires leave less for sequence parallelism to save."""
    gains = []
    for bandwidth in (10**11, FAST, 10**14):
        spec = pinned_spec(ALL)
        wire = WIRE.model_copy(update={"bandwidth_bytes_per_s": bandwidth})
        hosts = tuple(h.model_copy(update={"interconnect": wire}) for h in spec.cluster.hosts)
        spec = Spec(spec.cluster.model_copy(update={"hosts": hosts}), spec.model, spec.workload)
        gains.append(speed_of(spec, "shift", (0, 4)) / speed_of(spec, "tp", (0, 4)))
    assert gains[0] > gains[1] > gains[2] >= 0.9
