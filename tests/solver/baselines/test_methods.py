"""The quick methods as starts: hexplan's plan is never behind any of them."""

from __future__ import annotations

import threading

import pytest
from support.random_clusters import Dials, random_spec
from support.slow import few_are_fast

from hexplan.check import check_plan
from hexplan.errors import HexplanError, InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.baselines.methods import QUICK, quick_placements
from hexplan_solver.options import be_silent
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

NARROW = Dials((4, 12), (3, 6), 4, 14, (10.0, 1000.0), (1e9, 1e9), is_wild=False)
"""Several hosts, with links and NICs of about the speed of their stages."""
SHORT_S = 0.5
CONSTRUCTIVE = tuple(method for method in QUICK if method != "hexgen")
"""What `hexgen` finds depends on its time, of which a search with a short limit gives it little."""


def flow_by(spec: Spec, method: str) -> float:
    """Return the flow of a method's plan in tokens/s, or 0 where it has none."""
    try:
        plan = solve(spec, SolveOptions(method=method, time_limit_s=SHORT_S))
    except HexplanError:
        return 0.0
    return float(plan.certificate.flow_tokens_per_s)


@pytest.mark.parametrize(
    "seeds", few_are_fast([range(3), range(3, 10), range(10, 17), range(17, 24)], 1)
)
def test_no_plan_is_behind_a_quick_method(seeds: range) -> None:
    compared = 0
    for seed in seeds:
        spec = random_spec(seed, NARROW, SHORT_S)
        try:
            plan = solve(spec)
        except (InfeasibleError, LimitReached):
            assert all(flow_by(spec, method) == 0 for method in CONSTRUCTIVE), f"seed {seed}"
            continue
        assert check_plan(plan) == ()
        own = float(plan.certificate.flow_tokens_per_s)
        best = max(flow_by(spec, method) for method in CONSTRUCTIVE)
        # What each stage and link loses to rounding depends on the placement.
        assert own >= best * (1 - 1e-6), f"seed {seed}: a simple method has {best}"
        compared += best > 0
    assert compared >= len(seeds) // 2


def test_the_quick_methods_come_by_their_flow() -> None:
    spec = random_spec(3, NARROW, SHORT_S)
    problem = build_problem(spec)
    run = Run(spec, SolveOptions(time_limit_s=5.0), be_silent)
    found = [placed.value for placed in quick_placements(run, problem, 5.0)]
    assert found == sorted(found, reverse=True)


def test_a_stopped_search_asks_no_method() -> None:
    spec = random_spec(3, NARROW, SHORT_S)
    stop = threading.Event()
    stop.set()
    run = Run(spec, SolveOptions(stop=stop), be_silent)
    assert quick_placements(run, build_problem(spec), 5.0) == []
