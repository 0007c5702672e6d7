"""Sites in a row, joined by many links of which none carries the flow."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.constants import MICRO
from hexplan.spec import Spec
from hexplan_solver import solve
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.flow.flow_program import FlowProgram
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.params import LINK_PARAMS
from hexplan_solver.links.site_chain import best_chain
from hexplan_solver.options import SolveOptions, be_silent
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.run import Run

MODEL = tiny_model(8)


def sites_of_two(num_sites: int, crossing_tokens_per_s: int | None) -> Spec:
    """Sites of two hosts, each of which holds at most two layers, for 190 tokens/s.

    Without a crossing, no site reaches another.
    """
    slow = (crossing_tokens_per_s or 0) * MODEL.hidden * MODEL.dtype_bytes
    sites = [f"s{i}" for i in range(num_sites)]
    hosts = [host(f"{site}-{i}", ["d0"], site) for site in sites for i in range(2)]
    links = [link(site, site) for site in sites]
    links += [link(a, b, slow) for a in sites for b in sites if a != b and slow]
    return spec_of(MODEL, hosts, profiles=[profile("d0", [400, 190])], links=links, time_s=5)


def chained(spec: Spec) -> tuple[Problem, Placement]:
    problem = build_problem(spec)
    run = Run(spec, SolveOptions(time_limit_s=10), be_silent)
    run.lower(quick_bound(problem))
    search = LinkSearch(run, problem, FlowProgram(problem), LINK_PARAMS)
    return problem, best_chain(search, 5.0, 0)


def test_a_flow_crosses_by_several_links_where_one_carries_half_of_it() -> None:
    problem, placement = chained(sites_of_two(4, 100))
    assert evaluate(problem, placement).value >= 200 * MICRO


def test_one_link_is_enough_where_it_carries_the_flow() -> None:
    problem, placement = chained(sites_of_two(5, 1000))
    assert evaluate(problem, placement).value >= 400 * MICRO


def test_no_row_is_found_for_one_site_or_for_sites_without_links() -> None:
    assert not chained(sites_of_two(1, 100))[1]
    assert not chained(sites_of_two(4, None))[1]


@settings(deadline=None, max_examples=6)
@given(num_sites=st.integers(2, 5), crossing=st.integers(1, 500))
def test_a_row_uses_each_device_once_and_holds_every_layer(num_sites: int, crossing: int) -> None:
    problem, placement = chained(sites_of_two(num_sites, crossing))
    devices = [(stage.host, device) for stage in placement for device in stage.devices]
    assert len(devices) == len(set(devices))
    held = {layer for stage in placement for layer in range(*stage.layers)}
    assert held in (set(), set(range(MODEL.layers)))
    assert evaluate(problem, placement).value >= 0


def test_a_plan_over_such_sites_keeps_most_of_the_flow() -> None:
    plan = solve(sites_of_two(4, 100))
    assert [str(violation) for violation in check_plan(plan)] == []
    assert plan.certificate.flow_tokens_per_s >= 380
