"""Whole replicas are starts of the searches for plans that keep to no engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import device_type, host, profile, spec_of, tiny_model
from support.engine_specs import for_engine
from support.growing import growing
from support.made_plans import spec_for

from hexplan.check import check_plan
from hexplan.cluster import EngineName
from hexplan.errors import LimitReached
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Objective
from hexplan_solver import SolveOptions, solve
from hexplan_solver.options import be_silent
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.replicas.free import apart_replicas, free_replicas, freed
from hexplan_solver.replicas.grids import is_grid
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import Family, any_families, every_choice
from hexplan_solver.run import Run

AMPLE = SolveOptions(time_limit_s=600, effort_s=2)
"""More time than the effort takes, so that the clock decides nothing on a busy machine either."""
LIMITED: tuple[EngineName, ...] = ("vllm", "llamacpp")
ROUNDING = 1 - 1e-6
NOISE = 0.97
"""Random numbers make less of a difference than this between two runs of a plan."""
LAYERS = 7
TABLES = st.lists(
    st.lists(st.integers(1, 99), min_size=3, max_size=LAYERS).map(
        lambda rates: sorted(rates, reverse=True)
    ),
    min_size=2,
    max_size=5,
)


def desks(tables: list[list[int]]) -> Problem:
    """Return hosts of one device each, of the speeds that are told, as measured."""
    names = [f"d{i}" for i in range(len(tables))]
    profiles = [profile(name, table) for name, table in zip(names, tables, strict=True)]
    hosts = [host(f"h{i}", [name]) for i, name in enumerate(names)]
    return build_problem(spec_of(tiny_model(LAYERS, kv_heads=1), hosts, profiles=profiles))


def run_for(problem: Problem) -> Run:
    return Run(problem.spec, AMPLE, be_silent)


@settings(max_examples=15, deadline=None)
@given(TABLES)
def test_replicas_set_free_pass_no_less_and_use_each_device_once(tables: list[list[int]]) -> None:
    problem = desks(tables)
    for apart in apart_replicas(run_for(problem), problem):
        found = freed(problem, apart)
        assert found.value >= apart.value
        used = Counter((stage.host, d) for stage in apart.placement for d in stage.devices)
        assert max(used.values()) == 1
        chains: dict[int, list[tuple[int, int]]] = {}
        for stage in apart.placement:
            chains.setdefault(stage.replica, []).append(stage.layers)
        for chain in chains.values():
            assert (chain[0][0], chain[-1][1]) == (0, LAYERS)
            assert all(one[1] == other[0] for one, other in pairwise(chain))


@settings(max_examples=15, deadline=None)
@given(TABLES)
def test_few_choices_of_parts_are_all_listed(tables: list[list[int]]) -> None:
    problem = desks(tables)
    # Of one device on each host there is one part, so that a choice is a set of hosts.
    family = max(any_families(problem), key=lambda one: (one.main is None, len(one.parts)))
    whole = Family(family.parts)
    sizes = [len(problem.classes[part.host_class].hosts) + 1 for part in whole.parts]
    number = 1
    for size in sizes:
        number *= size
    assert len(every_choice(problem, whole, number)) == number - 1
    assert every_choice(problem, whole, number - 1) == []


def test_large_clusters_are_left_out() -> None:
    device, model = device_type("d"), tiny_model(2, kv_heads=1)
    most = REPLICA_PARAMS.most_devices
    few, many = (
        build_problem(spec_of(model, [host(f"h{i}", ["d"]) for i in range(count)], types=[device]))
        for count in (2, most + 1)
    )
    assert free_replicas(run_for(few), few)
    assert free_replicas(run_for(many), many) == []


def planned(spec: Spec, objective: Objective, options: SolveOptions = AMPLE) -> Plan | None:
    try:
        plan = solve(replace(spec, objective=objective), options)
    except LimitReached:
        return None
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_plan_for_an_engine_passes_more_than_the_free_plan(seed: int) -> None:
    spec = growing(seed)[1]
    free = planned(spec, "throughput")
    assert free is not None
    for engine in LIMITED:
        own = planned(for_engine(spec, engine), "throughput")
        if own is not None:
            least = float(own.certificate.flow_tokens_per_s) * ROUNDING
            assert float(free.certificate.flow_tokens_per_s) >= least, engine


@pytest.mark.slow
@pytest.mark.parametrize("name", ["home-lab", "laptop"])
def test_no_plan_for_an_engine_serves_more_than_the_free_plan(name: str) -> None:
    spec = spec_for(name, "sustained")
    rates = {}
    for engine in ("hexplan", *LIMITED):
        plan = planned(for_engine(spec, engine), "sustained", replace(AMPLE, effort_s=10))
        assert plan is not None
        assert plan.predicted.sustained is not None
        assert plan.predicted.sustained.simulated is not None
        rates[engine] = float(plan.predicted.sustained.simulated.decode_tokens_per_s)
    assert max(rates.values()) * NOISE <= rates["hexplan"], rates


def test_a_placement_is_uniform_if_its_stages_are() -> None:
    # Either device alone lacks the room, so that both are in one replica.
    even = desks([[9, 8, 7, 6]] * 2)
    odd = desks([[90, 80, 70, 60, 50], [9, 8, 7, 6]])
    shared_out = [
        [stage.layers for stage in one.placement]
        for problem in (even, odd)
        for one in apart_replicas(run_for(problem), problem)
        if is_grid(one)
    ]
    assert shared_out == [[(0, 4), (4, 7)]]
