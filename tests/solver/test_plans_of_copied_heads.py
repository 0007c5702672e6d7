"""Stages of more devices than the model has KV heads: planned, bounded, exported and moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.clusters import device_type, host, spec_of, tiny_model
from support.engine_specs import for_engine
from support.weights import Piece, missing_bytes, pieces

from hexplan.check import check_plan
from hexplan.cluster import GroupPin, Limits, Parallel
from hexplan.engines import ENGINES, misfits
from hexplan.errors import InfeasibleError
from hexplan.field_types import Range
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import ReplanOptions, SolveOptions, replan, solve
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.replan import changed

QUICK = SolveOptions(time_limit_s=5)
BOX = """\
version: 1
name: eight
model: {name: qwen3-235b-a22b}
workload: {prompt_tokens: 500, output_tokens: 100}
hosts:
  - {name: box, site: lab, devices: 8 x H200-SXM, interconnect: nvlink, nic: 100Gbps}
coordinator: {site: lab, nic: 100Gbps}
links: [{within: lab, bandwidth: 100Gbps, latency: 0.05ms}]
"""
MODEL = tiny_model(3, kv_heads=2).model_copy(update={"heads": 8})


def whole_host(n: int, ways: tuple[Parallel, ...] = ("tp",)) -> Spec:
    """Return a host of n devices that form one stage."""
    pins = (GroupPin(host="h", devices=tuple(range(n))),)
    limits = Limits(solve_time_s=5.0, chunk_tokens=64, parallel=ways)
    return spec_of(MODEL, [host("h", ["d"] * n)], group_pins=pins, limits=limits)


def solved(spec: Spec) -> Plan:
    plan = solve(spec, QUICK)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def with_heads(plan: Plan, heads: list[Range]) -> Plan:
    """Return the plan with other KV heads on the devices of its only stage."""
    (stage,) = plan.stages
    pairs = zip(stage.shards, heads, strict=True)
    shards = tuple(shard.model_copy(update={"kv_heads": one}) for shard, one in pairs)
    return plan.model_copy(update={"stages": (stage.model_copy(update={"shards": shards}),)})


def test_eight_devices_hold_four_kv_heads() -> None:
    spec = replace(parse_spec(BOX, Path("box.yaml")), objective="throughput")
    pins = (GroupPin(host="box", devices=tuple(range(8))),)
    spec = replace(spec, cluster=spec.cluster.model_copy(update={"group_pins": pins}))
    for one in (spec, for_engine(spec, "vllm")):
        (stage,) = (plan := solved(one)).stages
        assert [shard.kv_heads for shard in stage.shards] == [(i, i + 1) for i in range(8)]
    for name, runs in {"vllm": True, "sglang": True, "llamacpp": False}.items():
        found = {misfit.found for misfit in misfits(plan, ENGINES[name])}
        assert ("its 8 devices share 4 KV heads" in found) != runs


@pytest.mark.parametrize("ways", [("tp",), ("sp",), ("shift",), ("tp", "sp", "shift")])
def test_four_devices_hold_two_kv_heads_in_every_way_and_check_sees_forgeries(
    ways: tuple[Parallel, ...],
) -> None:
    (stage,) = (plan := solved(whole_host(4, ways))).stages
    assert stage.parallel in ways
    copies = [shard.kv_heads for shard in stage.shards]
    assert copies == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert check_plan(with_heads(plan, copies)) == ()
    for forged in ([(0, 1), (0, 1), (1, 2), (1, 2)], [(0, 2), (2, 2), (2, 3), (3, 4)]):
        assert check_plan(with_heads(plan, forged)) != ()
    other = plan.model.model_copy(update={"heads": 6})
    assert "HEX209" in {v.rule for v in check_plan(plan.model_copy(update={"model": other}))}


@pytest.mark.parametrize("n", [3, 5, 6])
def test_numbers_that_do_not_divide_form_no_stage(n: int) -> None:
    assert not build_problem(whole_host(n)).kinds
    with pytest.raises(InfeasibleError):
        solve(whole_host(n), QUICK)


def test_the_bound_counts_a_stage_that_only_fits_with_copies() -> None:
    """A layer is too large for two devices, so that only all four can hold it together."""
    kind = device_type("d", memory_bytes=600_000)
    spec = spec_of(
        tiny_model(1, kv_heads=2).model_copy(update={"heads": 8, "ffn": 1600}),
        [host("h", ["d"] * 4)],
        types=[kind],
    )
    assert {len(k.group) for k in build_problem(spec).kinds if k.rates.max_layers} == {4}
    plan = solved(spec)
    assert [stage.tp for stage in plan.stages] == [4]
    assert plan.certificate.flow_tokens_per_s <= plan.certificate.bound_tokens_per_s
    halves = replace(spec, model=spec.model.model_copy(update={"heads": 6}))
    with pytest.raises(InfeasibleError):
        solve(halves, QUICK)


def test_llama_cpp_splits_no_tensors_among_more_devices_than_kv_heads() -> None:
    spec = spec_of(MODEL, [host("h", ["d"] * 4)])
    spec = for_engine(spec, "llamacpp")
    assert max(stage.tp for stage in solved(spec).stages) <= 2


@pytest.mark.parametrize("is_widened", [True, False])
def test_a_replan_counts_what_moves_between_stages_of_two_devices_and_of_four(
    *, is_widened: bool
) -> None:
    """A device of a pair has a KV head with four query heads, one of four the same with two."""
    pairs = tuple(GroupPin(host="h", devices=pair) for pair in ((0, 1), (2, 3)))
    specs = spec_of(MODEL, [host("h", ["d"] * 4)], group_pins=pairs), whole_host(4)
    first, second = specs if is_widened else specs[::-1]
    before = solved(first)
    done = replan(before, changed(second), ReplanOptions(search=SolveOptions(time_limit_s=1)))
    assert [str(violation) for violation in check_plan(done.plan)] == []
    degrees = [[stage.tp for stage in plan.stages] for plan in (before, done.plan)]
    assert degrees == ([[2, 2], [4]] if is_widened else [[4], [2, 2]])
    moved = sum(
        missing_bytes(MODEL, pieces_of(before, device), pieces_of(done.plan, device))
        for device in range(4)
    )
    assert done.summary.moved_bytes == moved
    assert (moved == 0) == is_widened


def pieces_of(plan: Plan, device: int) -> dict[Piece, int]:
    """Return the weights of one device of the only host."""
    (stage,) = (stage for stage in plan.stages if device in stage.devices)
    (shard,) = (shard for shard in stage.shards if shard.device == device)
    heads = stage.shards[-1].kv_heads[1]
    return pieces(MODEL, stage.layers, shard.kv_heads, shard.ffn, shard.vocab, heads)
