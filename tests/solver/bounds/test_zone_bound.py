"""The zone bound and the link MILP against every placement of tiny clusters."""

from __future__ import annotations

import threading
from itertools import permutations, product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clusters import host, link, profile, spec_of, tiny_model, two_sites_with_a_trunk

from hexplan.check import check_plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.bounds.zone_bound import zone_bound
from hexplan_solver.bounds.zone_patterns import ZonePatterns, ZoneSupply
from hexplan_solver.budget import Budget
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.priced_flow import shared_flow_value
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.problem.zones import zones_of

MICRO = 10**6
TOLERANCE = 4e-6
"""What the MILP's tolerances may cost, as a share."""

quick = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
tables = st.lists(st.integers(10, 1000), min_size=1, max_size=4)


@st.composite
def two_site_specs(draw: st.DrawFn) -> Spec:
    """Two sites with a trunk each way; some pairs of hosts have a rule of their own under it."""
    model = tiny_model(draw(st.integers(2, 4)))
    token_bytes = model.hidden * model.dtype_bytes
    kinds = st.sampled_from(["d0", "d1"])
    hosts = [
        host(f"h{i}", [draw(kinds)], site="ab"[i] if i < 2 else draw(st.sampled_from("ab")))
        for i in range(draw(st.integers(2, 4)))
    ]
    links = [link("a", "a"), link("b", "b")]
    for ends in ("ab", "ba"):
        trunk = draw(st.sampled_from([20, 50, 200, 400])) * token_bytes
        links.append(link(*ends, draw(st.sampled_from([trunk, trunk // 2])), trunk))
        for pair in permutations(hosts, 2):
            if tuple(host.site for host in pair) == tuple(ends) and draw(st.booleans()):
                bandwidth = draw(st.sampled_from([10, 100, 1000])) * token_bytes
                links.append(link(*(h.name for h in pair), bandwidth, under=(ends[0], ends[1])))
    profiles = [profile(f"d{i}", draw(tables)) for i in range(2)]
    return spec_of(model, hosts, profiles=profiles, links=links)


def best_with_trunks(spec: Spec, problem: Problem) -> float:
    """Return the largest flow over every placement of single-device hosts, by one LP each."""
    kinds = {h: k for k in problem.kinds for h in problem.classes[k.host_class].hosts}
    best = 0.0
    for ranges in product(*([None, *kind.ranges()] for kind in kinds.values())):
        stages = [
            PlacedStage(layers, name, (0,), kind.index, kind.rates.of(*layers))
            for (name, kind), layers in zip(kinds.items(), ranges, strict=True)
            if layers is not None
        ]
        coverage = (
            sum(s.rate for s in stages if s.layers[0] <= layer < s.layers[1])
            for layer in range(spec.model.layers)
        )
        if min(coverage) > best * MICRO:
            best = max(best, shared_flow_value(build_network(spec, stages)))
    return best


@quick
@given(spec=two_site_specs())
def test_no_placement_exceeds_the_zone_bound(spec: Spec) -> None:
    problem = build_problem(spec)
    best = best_with_trunks(spec, problem)
    bound = work_bound(problem)
    zones = zones_of(problem, bound)
    if best and len(zones) > 1:
        proved = zone_bound(problem, zones, Budget(20, bound, 1))
        lowered = bound if proved is None else proved.micro_tokens_per_s
        assert best * MICRO * (1 - 1e-6) <= lowered <= bound


@quick
@given(spec=two_site_specs())
def test_a_small_cluster_with_trunks_is_solved_as_well_as_by_trying_everything(spec: Spec) -> None:
    best = best_with_trunks(spec, build_problem(spec))
    if best:
        plan = solve(spec)
        assert check_plan(plan) == ()
        assert float(plan.certificate.flow_tokens_per_s) >= best * (1 - TOLERANCE)
        assert float(plan.certificate.bound_tokens_per_s) >= best * (1 - 1e-9)


def test_two_sites_that_can_hold_the_model_alone_are_bounded_by_their_sum_and_the_trunk() -> None:
    """Each site passes 100 alone; 10 more may cross, so 210 at most, where work allows 400."""
    problem = build_problem(two_sites_with_a_trunk())
    zones = zones_of(problem, work_bound(problem))
    assert work_bound(problem) > 280 * MICRO
    budget = Budget(20, work_bound(problem), MICRO)
    proved = zone_bound(problem, zones, budget)
    assert proved is not None
    assert 200 * MICRO <= proved.micro_tokens_per_s <= 212 * MICRO


def test_a_wish_to_stop_ends_the_search_with_the_best_plan_so_far() -> None:
    model = tiny_model(4)
    hosts = [host(f"h{i}", ["d0"]) for i in range(6)]
    spec = spec_of(model, hosts, profiles=[profile("d0", [900, 500, 310, 230])])
    stop = threading.Event()
    stop.set()
    plan = solve(spec, SolveOptions(stop=stop))
    assert check_plan(plan) == ()
    assert plan.certificate.status in ("interrupted", "optimal")


def test_three_zones_that_share_a_layer_evenly_are_not_ruled_out() -> None:
    """A third of the flow lies between two steps of the grid."""
    model = tiny_model(1)
    trunk = model.hidden * model.dtype_bytes
    links = [link(a, b, trunk, trunk) if a != b else link(a, a) for a in "abc" for b in "abc"]
    hosts = [host(f"h{site}", ["d0"], site=site) for site in "abc"]
    problem = build_problem(spec_of(model, hosts, profiles=[profile("d0", [100])], links=links))
    parts = [ZoneSupply.of(problem, zone) for zone in zones_of(problem, work_bound(problem))]
    box = ((0, 100 * MICRO),) * 3
    assert ZonePatterns(parts, box, 300 * MICRO).ruled_out(1, []) is None
    assert ZonePatterns(parts, box, 303 * MICRO).ruled_out(1, []) is not None
