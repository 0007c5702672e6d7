"""Time limits, on clocks that count: who hands on how much, and what is said at the end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.counting import Counter, counting_clock
from support.random_clusters import Dials, random_spec
from support.slow import slow
from support.specs import TWO_NODES, spec_of

from hexplan.bound_proof import WorkProof
from hexplan.check import check_plan
from hexplan.errors import LimitReached
from hexplan_solver import SolveOptions, solve
from hexplan_solver.baselines.methods import BASELINES
from hexplan_solver.bounds.proof import Proved
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.clock import Clock
from hexplan_solver.options import be_silent
from hexplan_solver.placement.stage_counts import least_coverage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import MOST_END_SHARE, Run
from hexplan_solver.start.balance import balance

SPEC = spec_of(TWO_NODES)
MIXED = Dials((6, 8), (5, 6), 4, 20, (10.0, 1000.0), (1e9, 1e9), is_wild=False)


def clocks() -> tuple[Counter, Counter, Clock]:
    """Return the wall and the work of a clock, both at rest."""
    wall, work = Counter(), Counter()
    return wall, work, Clock(wall.look, work.look)


def test_the_limit_counts_from_the_start_of_the_command() -> None:
    wall, _, clock = clocks()
    wall.now_s = 7.0
    late = Run(SPEC, SolveOptions(time_limit_s=10, started_s=2.0, clock=clock), be_silent)
    fresh = Run(SPEC, SolveOptions(time_limit_s=10, clock=clock), be_silent)
    assert late.elapsed_s == 5.0
    assert fresh.left_s - late.left_s == pytest.approx(5.0)


@given(limit_s=st.floats(0.1, 1000), passed_s=st.floats(0, 2000), worked=st.floats(0.01, 1))
def test_some_time_is_kept_for_the_end_but_never_most_of_it(
    limit_s: float, passed_s: float, worked: float
) -> None:
    wall, work, clock = clocks()
    run = Run(SPEC, SolveOptions(time_limit_s=limit_s, clock=clock), be_silent)
    wall.now_s, work.now_s = passed_s, worked * passed_s
    left_s = max(0.0, limit_s - passed_s)
    assert run.left_s <= left_s
    assert run.left_s >= left_s - MOST_END_SHARE * limit_s


def test_a_busy_machine_keeps_more_time_for_the_end() -> None:
    large = random_spec(3, Dials((2, 2), (400, 400), 8, 4000, (1, 2), (1e9, 1e9), False), 1.0)
    left_s = []
    for worked_s in (10.0, 2.0):
        wall, work, clock = clocks()
        run = Run(large, SolveOptions(time_limit_s=100, clock=clock), be_silent)
        wall.now_s, work.now_s = 10.0, worked_s
        left_s.append(run.left_s)
    idle, busy = left_s
    assert 0 < busy < idle < 90


def test_a_nested_search_has_its_own_start_and_keeps_no_time_for_writing() -> None:
    wall, _, clock = clocks()
    wall.now_s = 5.0
    run = Run(SPEC, SolveOptions(time_limit_s=20, started_s=0.0, clock=clock), be_silent)
    options = run.nested(run.left_s / 2)
    nested = Run(SPEC, options, be_silent)
    assert options.is_nested
    assert nested.elapsed_s == 0.0
    assert nested.left_s <= run.left_s / 2


def test_a_search_out_of_time_says_so_and_one_that_ended_does_not() -> None:
    wall, _, clock = clocks()
    run = Run(SPEC, SolveOptions(time_limit_s=10, clock=clock), be_silent)
    run.lower(Proved(1000, WorkProof()))
    # The MILP's own share of the time was up, but not that of the search.
    run.status = "time limit"
    assert run.proof(500).status == "feasible"
    assert run.proof(1000).status == "optimal"
    wall.now_s = 10.0
    assert run.proof(500).status == "time limit"


def test_balancing_ends_when_it_is_told_and_has_placed_every_host() -> None:
    problem = build_problem(random_spec(11, MIXED, 1.0))
    bound = work_bound(problem)
    looks = iter(range(100_000))
    whole = balance(problem, bound, 1.0, goes_on=lambda: next(looks) >= 0)
    num_looks = next(looks)
    for allowed in (0, 1, num_looks // 2):
        asked = iter(range(allowed))
        found = balance(problem, bound, 1.0, goes_on=lambda: next(asked, None) is not None)  # noqa: B023
        assert next(asked, None) is None
        assert sum(map(sum, found.partitioned)) == sum(map(sum, whole.partitioned))
        value = least_coverage(problem, found.stages)
        assert value <= least_coverage(problem, whole.stages)


@pytest.mark.parametrize("step_s", [slow(1e-4), 0.05, 100.0])
def test_a_plan_is_found_however_fast_the_time_passes(step_s: float) -> None:
    spec = random_spec(11, MIXED, 1.0)
    clock = counting_clock(step_s)
    plan = solve(spec, SolveOptions(time_limit_s=10, clock=clock))
    assert check_plan(plan) == ()
    if step_s > 10 and plan.certificate.gap:
        assert plan.certificate.status == "time limit"


def test_what_is_left_when_the_search_begins_is_all_that_it_looks_at() -> None:
    spec = random_spec(12, MIXED, 1.0)
    used = []
    for limit_s in (1.0, 10.0):
        counter = Counter(0.01)
        options = SolveOptions(clock=Clock(counter.look, counter.look))
        solve(spec, replace(options, time_limit_s=limit_s))
        used.append(counter.now_s)
    # At the end a few more looks follow, at most a hundredth of a second each.
    assert used[0] < 1.0 * 1.1 + 1
    assert used[1] < 10.0 * 1.1 + 1


@pytest.mark.parametrize("method", ["tflops", "hexgen", "symmetric"])
def test_a_method_on_many_machines_ends_soon_after_its_time(method: str) -> None:
    spec = random_spec(5, Dials((4, 4), (90, 90), 4, 360, (10.0, 1000.0), (1e9, 1e9), False), 1.0)
    counter = Counter(0.01)
    clock = Clock(counter.look, counter.look)
    run = Run(spec, SolveOptions(time_limit_s=1, clock=clock), be_silent)
    with suppress(LimitReached):
        BASELINES[method](run, build_problem(spec))
    assert counter.now_s < 1.5
