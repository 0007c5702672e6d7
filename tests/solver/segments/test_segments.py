"""Covers by pricing against enumeration, and segments that need lanes."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import host, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.rate_classes import RateClasses
from hexplan_solver.placement.stage_counts import StageCounts, least_coverage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.segments.params import SEGMENT_PARAMS
from hexplan_solver.segments.pool import SegmentPool
from hexplan_solver.segments.pricing import CoverPricer, LaneTable, Prices
from hexplan_solver.segments.segment import Segment
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.start.balance import balance
from hexplan_solver.start.slices import solve_in_slices

MICRO = 10**6


def mix(layers: int, kinds: dict[str, tuple[int, list[float]]]) -> Spec:
    """Hosts of one device: for each kind, how many, and its speed by layers held."""
    hosts = [host(f"{name}-{i}", [name]) for name, (n, _) in kinds.items() for i in range(n)]
    profiles = [profile(name, table) for name, (_, table) in kinds.items()]
    return spec_of(tiny_model(layers), hosts, profiles=profiles)


def price_of(segment: Segment, prices: list[float]) -> float:
    return sum(n * prices[rate_class] for rate_class, n in segment.stage_counts)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(100, 1000), min_size=3, max_size=3, unique=True),
    st.lists(st.floats(0.1, 2.0), min_size=3, max_size=3),
    st.integers(300, 1500),
)
def test_no_enumerated_cover_is_much_cheaper_than_the_priced_one(
    rates: list[int], prices: list[float], target: int
) -> None:
    spec = mix(4, {f"d{i}": (1, [rate / k for k in range(1, 5)]) for i, rate in enumerate(rates)})
    problem = build_problem(spec)
    classes = RateClasses.of(problem)
    table = LaneTable.of(problem, classes, 1)
    pricer = CoverPricer(table, target * MICRO, 600)
    for segment in pricer.cheapest(Prices(np.array(prices)), -np.inf):
        k, (first, last) = segment.num_layers, segment.ends
        pace = [problem.kinds[kinds[0]].rates.by_layers[first][last][k] for kinds in classes.kinds]
        assert (
            sum(n * pace[s] for s, n in segment.stage_counts)
            >= target * MICRO * (1 - SEGMENT_PARAMS.shortfall) - 1
        )
        most = [-(-target * MICRO * 11 // 10 // rate) for rate in pace]
        if np.prod([m + 1 for m in most]) > 20_000:
            continue
        # Half a step of the grid for each stage is what rounding can hide.
        cheapest = min(
            sum(n * p for n, p in zip(counts, prices, strict=True))
            for counts in product(*(range(m + 1) for m in most))
            if sum(n * r for n, r in zip(counts, pace, strict=True))
            >= target * MICRO * (1 + sum(counts) / 1200)
        )
        assert price_of(segment, prices) <= cheapest + min(prices)


def test_a_cover_may_have_any_number_of_rate_classes() -> None:
    tables = {f"d{i}": (1, [rate, rate]) for i, rate in enumerate((520.0, 290.0, 190.0))}
    problem = build_problem(mix(2, tables))
    found = solve_segments(problem, SolveOptions(), Budget(5.0, work_bound(problem)))
    assert least_coverage(problem, found.stages) == 1000 * MICRO
    assert {stage.layers for stage in found.stages} == {(0, 2)}


def test_lanes_reach_what_stages_of_one_length_cannot() -> None:
    # Only three of one beside two of the other hold 6 layers at 100.
    kinds = {"short": (3, [45.0, 45.0]), "long": (2, [55.0, 55.0, 55.0])}
    problem = build_problem(mix(6, kinds))
    found = solve_segments(problem, SolveOptions(), Budget(5.0, work_bound(problem)))
    assert least_coverage(problem, found.stages) == 100 * MICRO
    assert {c.layers[1] - c.layers[0] for c in found.stages} == {2, 3}


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(100, 2000)), min_size=1, max_size=4),
    st.sampled_from([0.01, 0.04, 1.0]),
)
def test_balanced_placements_use_hosts_that_exist_and_stay_below_the_bound(
    counts: list[tuple[int, int]], loss: float
) -> None:
    kinds = {f"d{i}": (n, [rate / k for k in range(1, 9)]) for i, (n, rate) in enumerate(counts)}
    problem = build_problem(mix(8, kinds))
    bound = work_bound(problem)
    found = balance(problem, bound, loss)
    assert 0 <= least_coverage(problem, found.stages) <= bound
    stages = place(problem, found)
    assert len({(s.host, d) for s in stages for d in s.devices}) == sum(n for n, _ in counts)


@pytest.mark.slow
def test_a_generated_cluster_is_planned_alike_twice_and_passes_the_check() -> None:
    rates = (900.0, 500.0, 320.0, 210.0)
    kinds = {f"d{i}": (150, [r / k for k in range(1, 9)]) for i, r in enumerate(rates)}
    plans = [solve(mix(16, kinds), SolveOptions(time_limit_s=120)) for _ in range(2)]
    assert not check_plan(plans[0])
    assert plans[0].certificate.gap < 0.03
    assert plans[0].model_copy(update={"solve": plans[1].solve}) == plans[1]


def test_every_slice_of_a_large_cluster_has_its_share_of_the_time() -> None:
    kinds = {f"d{i}": (257 + i, [900.0 + i, 450.0]) for i in range(3)}
    problem = build_problem(mix(2, kinds))
    told: list[int] = []

    def solve_slice(part: Problem, num_left: int) -> StageCounts:
        told.append(num_left)
        return balance(part, work_bound(part), 1.0)

    counts = solve_in_slices(problem, solve_slice)
    assert told == list(range(len(told), 0, -1))
    assert len(told) > 1
    assert least_coverage(problem, counts.stages) > 0.9 * work_bound(problem)


def test_segments_found_at_other_prices_are_covers_too() -> None:
    spec = mix(12, {"a": (5, [900, 430, 280, 190]), "b": (7, [610, 300, 210, 140])})
    problem = build_problem(spec)
    classes = RateClasses.of(problem)
    target = work_bound(problem) * 9 // 10
    table = LaneTable.of(problem, classes, 2)
    pool = SegmentPool(problem, table, target)
    pool.generate(SEGMENT_PARAMS.step_grids, math.inf)
    before, layers = list(pool.segments), pool.layers
    pool.vary(0, math.inf)
    assert pool.segments[: len(before)] == before
    assert len(set(pool.segments)) == len(pool.segments) > len(before)
    assert pool.layers == layers
    for segment in pool.segments:
        passed = sum(table.rate(segment, lane) * lane.count for lane in segment.lanes)
        assert passed >= target * (1 - SEGMENT_PARAMS.shortfall) - 1
