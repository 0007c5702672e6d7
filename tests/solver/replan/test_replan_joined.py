"""Replans of plans with joined hosts, which come apart where one of them is gone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from support.clusters import device_type, host, link, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cluster import Limits
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload
from hexplan_solver import ReplanOptions, SolveOptions, replan, solve
from hexplan_solver.replan import HostOrDevice, Replanned, changed, without

SEARCH = SolveOptions(time_limit_s=4)
JOIN = (("h0", "h1"),)


def lab(join: tuple[tuple[str, ...], ...] = JOIN) -> Spec:
    lines = (link("here", "here").model_copy(update={"latency_s": Decimal("0.000000001")}),)
    hosts = [host(name, ["d"]).model_copy(update={"interconnect": None}) for name in ("h0", "h1")]
    types = [device_type("d", 3 * 10**6, 10**8)]
    limits = Limits(solve_time_s=4.0, chunk_tokens=64, join=join)
    spec = spec_of(tiny_model(4), hosts, types=types, links=lines, limits=limits)
    lengths = Lengths(mean=64, max=64)
    rate = Decimal("0.001")
    workload = Workload(prompt_tokens=lengths, output_tokens=lengths, request_rate_per_s=rate)
    return Spec(spec.cluster, spec.model, workload, "latency")


def joined_plan() -> Plan:
    plan = solve(lab(), SEARCH)
    assert plan.cluster.hosts[0].label == "h0 + h1"
    return plan


def lost(plan: Plan, *gone: HostOrDevice) -> Replanned:
    spec = Spec(plan.cluster, plan.model, plan.workload)
    done = replan(plan, without(spec, gone), ReplanOptions(search=SEARCH))
    assert [str(violation) for violation in check_plan(done.plan)] == []
    return done


def test_where_one_of_the_joined_hosts_is_gone_the_others_stand_alone() -> None:
    done = lost(joined_plan(), ("h1", None))
    assert [(stage.host, stage.tp) for stage in done.plan.stages] == [("h0", 1)]
    assert [gone.reason for gone in done.summary.gone] == ["h0 + h1 work as one no longer"]
    assert "h0 + h1 work as one no longer" in done.summary.notes


def test_what_a_machine_holds_of_a_joined_stage_is_not_moved_again() -> None:
    plan = joined_plan()
    done = lost(plan, ("h0", None))
    (stage,) = done.plan.stages
    assert stage.host == "h1"
    weights = sum(memory.weights_bytes for memory in stage.memory)
    held = plan.stages[0].memory[1].weights_bytes
    norms = 2 * 2 * 64 * 4 + 2 * 64
    # Whole norms are on each device; of all else h1 holds the other half.
    assert done.summary.moved_bytes == weights - held
    assert held > weights // 2 - norms


def test_a_spec_that_lets_hosts_be_joined_keeps_them_so_and_moves_nothing() -> None:
    plan = joined_plan()
    done = replan(plan, changed(lab()), ReplanOptions(routes_only=True, search=SEARCH))
    assert check_plan(done.plan) == ()
    assert done.summary.moved_bytes == 0
    assert [stage.tp for stage in done.plan.stages] == [2]


def test_a_spec_that_does_not_sets_them_apart() -> None:
    plan = joined_plan()
    done = replan(plan, changed(lab(())), ReplanOptions(search=SEARCH))
    assert check_plan(done.plan) == ()
    assert {stage.host for stage in done.plan.stages} <= {"h0", "h1"}
    assert all(stage.tp == 1 for stage in done.plan.stages)


def test_hosts_that_were_apart_are_not_joined_by_a_replan() -> None:
    plan = solve(replace(lab(()), objective="throughput"), SEARCH)
    done = replan(plan, changed(lab()), ReplanOptions(search=SEARCH))
    assert check_plan(done.plan) == ()
    assert not any(host.parts for host in done.plan.cluster.hosts)
    assert done.plan.cluster.limits.join == ()
