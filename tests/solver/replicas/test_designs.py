"""Layers of a replica, and packings of one box, against a search over every choice."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import device_type, host, profile, spec_of, tiny_model
from support.engine_specs import for_engine

from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.replicas.design import split_layers

LAYERS = 7
TABLES = st.lists(st.integers(1, 99), min_size=1, max_size=LAYERS).map(
    lambda rates: sorted(rates, reverse=True)
)


def problem_of(tables: list[list[int]]) -> Problem:
    """Return a host with one device of each speed, as measured."""
    names = [f"d{i}" for i in range(len(tables))]
    profiles = [profile(name, table) for name, table in zip(names, tables, strict=True)]
    model = tiny_model(LAYERS, kv_heads=1)
    return build_problem(spec_of(model, [host("h", names)], profiles=profiles))


def rates(problem: Problem, kinds: list[int], held: list[int]) -> list[int]:
    ends = [sum(held[:i]) for i in range(len(held) + 1)]
    ranges = pairwise(ends)
    return [problem.kinds[kind].rates.of(*r) for kind, r in zip(kinds, ranges, strict=True)]


@settings(max_examples=40)
@given(st.lists(TABLES, min_size=1, max_size=3))
def test_no_split_of_the_layers_has_a_faster_slowest_stage(tables: list[list[int]]) -> None:
    problem = problem_of(tables)
    by_name = {kind.group[0]: kind for kind in problem.kinds}
    kinds = [by_name[f"d{i}"].index for i in range(len(tables))]
    most = 0
    for cuts in combinations(range(1, LAYERS), len(kinds) - 1):
        held = [b - a for a, b in pairwise((0, *cuts, LAYERS))]
        if all(n <= len(table) for n, table in zip(held, tables, strict=True)):
            most = max(most, min(rates(problem, kinds, held)))
    found = split_layers(problem, kinds)
    assert (found is None) == (most == 0)
    if found is not None:
        assert sum(found) == LAYERS
        assert min(rates(problem, kinds, found)) == most


def best_flow(spec: Spec) -> int:
    """Return the largest flow of replicas of one degree in one box of like devices.

    Every way to give devices to replicas of one degree each is tried, and every split of layers.
    """
    problem = build_problem(replace(spec, objective="throughput"))
    kinds = {len(kind.group): kind for kind in problem.kinds}
    total, (box,) = problem.num_layers, spec.cluster.hosts

    @cache
    def of_replica(degree: int, stages: int) -> int:
        kind = kinds[degree]
        most = 0
        for cuts in combinations(range(1, total), stages - 1):
            ends = (0, *cuts, total)
            longest = max(b - a for a, b in pairwise(ends))
            if longest <= kind.rates.max_layers:
                most = max(most, min(kind.rates.of(*r) for r in pairwise(ends)))
        return most

    @cache
    def of_box(devices: int) -> int:
        return max(
            (
                of_replica(degree, stages) + of_box(devices - degree * stages)
                for degree in kinds
                if spec.model.kv_heads % degree == 0
                for stages in range(1, min(total, devices // degree) + 1)
            ),
            default=0,
        )

    return of_box(len(box.devices))


@pytest.mark.parametrize("count", [2, 3, 5, 6])
@pytest.mark.parametrize("memory_bytes", [420_000, 800_000])
def test_the_plan_of_one_box_passes_the_most_that_whole_replicas_can(
    count: int, memory_bytes: int
) -> None:
    kind = device_type("d", memory_bytes=memory_bytes, speed=10**8)
    spec = spec_of(tiny_model(6), [host("box", ["d"] * count)], types=[kind])
    best = best_flow(spec)
    if not best:
        pytest.skip("no replica fits")
    plan = solve(for_engine(spec, "vllm"), SolveOptions(time_limit_s=10))
    assert int(plan.certificate.flow_tokens_per_s * 10**6) == best
