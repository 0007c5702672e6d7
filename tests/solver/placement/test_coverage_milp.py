"""The coverage form, the work bound and segments, against each other and the exact flow."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clusters import host, profile, spec_of, tiny_model

from hexplan.spec import Spec
from hexplan_solver.bounds.pattern_bound import pattern_bound
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.milp import MilpStatus
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.coverage_milp import solve_coverage
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.placement.stage_counts import StageCount, least_coverage, possible_stages
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.segments.segments import solve_segments

LAYERS = 6
MICRO = 10**6


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS), st.integers(1, 999)),
        min_size=1,
        max_size=9,
    )
)
def test_the_flow_is_the_least_covered_layer_where_links_do_not_bind(
    drawn: list[tuple[int, int, int]],
) -> None:
    """docs/formulation.md 7, the claim."""
    spec = spec_of(
        tiny_model(LAYERS),
        [host(f"h{i}", ["d0"]) for i in range(len(drawn))],
        profiles=[profile("d0", [1.0] * LAYERS)],
    )
    stages = [
        PlacedStage((first, min(first + k, LAYERS)), f"h{i}", (0,), 0, rate * MICRO)
        for i, (first, k, rate) in enumerate(drawn)
    ]
    least = min(
        sum(s.rate for s in stages if s.layers[0] <= layer < s.layers[1]) for layer in range(LAYERS)
    )
    assert max_flow(build_network(spec, stages)).value == least


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    tables = draw(
        st.lists(st.lists(st.integers(10, 999), min_size=2, max_size=5), min_size=1, max_size=3)
    )
    hosts = [
        host(f"h{i}", [f"d{draw(st.integers(0, len(tables) - 1))}"] * draw(st.integers(1, 2)))
        for i in range(draw(st.integers(3, 5)))
    ]
    profiles = [profile(f"d{i}", table) for i, table in enumerate(tables)]
    profiles += [profile(f"d{i}", [1.5 * r for r in t], 2) for i, t in enumerate(tables)]
    return spec_of(tiny_model(LAYERS), hosts, profiles=profiles)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_segments_and_milp_stay_below_the_work_bound_and_can_be_formed(spec: Spec) -> None:
    problem = build_problem(spec)
    bound = work_bound(problem)
    options = SolveOptions()
    milp = solve_coverage(problem, possible_stages(problem), options, Budget(20.0, bound))
    segments = solve_segments(problem, options, Budget(5.0, bound))
    best = least_coverage(problem, milp.counts.stages)
    value = least_coverage(problem, segments.stages)
    found = pattern_bound(problem, Budget(5.0, bound, value))
    proved = bound if found is None else found.micro_tokens_per_s
    assert best * (1 - 1e-6) <= proved <= bound
    assert value <= best * (1 + 1e-6)
    assert best <= bound
    for counts in (milp.counts, segments):
        if counts.stages:
            stages = place(problem, counts)
            used = [(stage.host, device) for stage in stages for device in stage.devices]
            assert len(used) == len(set(used))
            network = build_network(spec, stages)
            assert max_flow(network).value == least_coverage(problem, counts.stages)


def test_a_start_is_taken_over_by_the_milp() -> None:
    spec = spec_of(
        tiny_model(4), [host(f"h{i}", ["d0"]) for i in range(4)], profiles=[profile("d0", [9, 5])]
    )
    problem = build_problem(spec)
    start = [StageCount(0, (i, i + 1)) for i in range(4)]
    found = solve_coverage(problem, start, SolveOptions(), Budget(5.0, 100 * MICRO), start)
    assert least_coverage(problem, found.counts.stages) == 9 * MICRO
    assert found.status is MilpStatus.OPTIMAL
