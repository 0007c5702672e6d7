"""Segments and balancing by zones against enumeration, and what links then carry."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.priced_flow import shared_flow_value
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.stage_counts import StageCounts, least_coverage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.problem.zones import zones_of
from hexplan_solver.segments.knapsack import LaneZones, ZonedKnapsack
from hexplan_solver.segments.segments import solve_segments
from hexplan_solver.segments.zone_bands import ZoneBand, ZoneBands
from hexplan_solver.start.balance import Floors, balance

MICRO = 10**6
STEPS = 12


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(2, 12), st.integers(1, 9)), min_size=2, max_size=2),
    st.lists(st.tuples(st.integers(2, 12), st.integers(1, 9)), min_size=1, max_size=2),
    st.lists(st.integers(0, 5), min_size=STEPS + 1, max_size=STEPS + 1),
    st.lists(st.integers(0, 5), min_size=STEPS + 1, max_size=STEPS + 1),
)
def test_the_cheapest_cover_by_zones_is_that_of_trying_all(
    one: list[tuple[int, int]], other: list[tuple[int, int]], extra_1: list[int], extra_2: list[int]
) -> None:
    """Zones pay for the lanes that supply so many steps, and extra for how many these are."""
    lanes = [*one, *other]
    steps, prices = np.array([[s for s, _ in lanes]]), np.array([float(f) for _, f in lanes])
    zones = np.array([0] * len(one) + [1] * len(other))
    extras = np.array([extra_1, extra_2], dtype=float)
    found = ZonedKnapsack.solve(steps, prices, LaneZones(zones, extras))

    def cheapest(own: list[tuple[int, int]], amount: int) -> int:
        counts = product(range(STEPS // 2 + 1), repeat=len(own))
        return min(
            sum(n * fare for n, (_, fare) in zip(count, own, strict=True))
            for count in counts
            if sum(n * size for n, (size, _) in zip(count, own, strict=True)) >= amount
        )

    best = min(
        cheapest(one, amount)
        + extra_1[amount]
        + cheapest(other, STEPS - amount)
        + extra_2[STEPS - amount]
        for amount in range(STEPS + 1)
    )
    assert found.cost[0] == best
    counts = found.counts(0)
    assert sum(n * lanes[lane][0] for lane, n in counts.items()) >= STEPS
    assert sum(n * lanes[lane][1] for lane, n in counts.items()) <= best


@given(st.lists(st.integers(0, 12), min_size=3, max_size=3), st.integers(0, 4), st.integers(0, 4))
def test_the_imbalance_is_the_least_over_all_choices_of_what_to_leave_out(
    supplied: list[int], low: int, width: int
) -> None:
    if sum(supplied) < STEPS:
        return
    band = ZoneBand((), np.full(3, low / STEPS), np.full(3, (low + width) / STEPS), 1.0)
    least = min(
        sum(max(low - share, share - low - width, 0) for share in shares)
        for shares in product(*(range(most + 1) for most in supplied))
        if sum(shares) == STEPS
    )
    assert abs(band.imbalance([s / STEPS for s in supplied]) - least / STEPS) < 1e-9


def two_sites(num_hosts: int = 10, trunk: int = 40) -> Spec:
    """Each site has all of one kind of device, and a few of the other; little may cross."""
    model = tiny_model(12)
    line = trunk * model.hidden * model.dtype_bytes
    sites = [
        ("a", "d0", num_hosts), ("a", "d1", num_hosts // 2),
        ("b", "d0", num_hosts // 2), ("b", "d1", num_hosts),
    ]  # fmt: skip
    hosts = [host(f"{s}-{d}-{i}", [d], site=s) for s, d, n in sites for i in range(n)]
    links = [link("a", "a"), link("b", "b"), link("a", "b", line, line), link("b", "a", line, line)]
    profiles = [
        profile("d0", [300 / k for k in range(1, 5)]),
        profile("d1", [110 / k for k in range(1, 4)]),
    ]
    return spec_of(model, hosts, profiles=profiles, links=links)


def flow_of(problem: Problem, counts: StageCounts) -> float:
    return shared_flow_value(build_network(problem.spec, place(problem, counts)))


def test_zones_that_are_balanced_need_little_to_cross() -> None:
    problem = build_problem(two_sites())
    bound = work_bound(problem)
    bands = ZoneBands.of(problem, zones_of(problem, bound), bound, 1.0)
    floors = Floors(bands.zone_of, tuple(int(share * bound) for share in bands.shares))
    zoned, plain = (balance(problem, bound, 1.0, f) for f in (floors, None))
    assert flow_of(problem, zoned) * MICRO >= least_coverage(problem, zoned.stages) * 0.97
    assert flow_of(problem, zoned) > flow_of(problem, plain)


def test_segments_within_a_band_are_carried_as_they_are() -> None:
    problem = build_problem(two_sites())
    bound = work_bound(problem)
    bands = ZoneBands.of(problem, zones_of(problem, bound), bound, 0.4)
    zoned = solve_segments(problem, SolveOptions(), Budget(20, bound), bands)
    plain = solve_segments(problem, SolveOptions(), Budget(20, bound))
    assert least_coverage(problem, zoned.stages) > 0
    assert flow_of(problem, zoned) > flow_of(problem, plain)


def test_a_plan_of_sites_between_which_little_passes_keeps_every_rule() -> None:
    plan = solve(two_sites(), SolveOptions(time_limit_s=2))
    assert check_plan(plan) == ()
    assert plan.certificate.flow_tokens_per_s <= plan.certificate.bound_tokens_per_s
