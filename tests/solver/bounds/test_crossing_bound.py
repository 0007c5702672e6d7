"""The crossing bound against every placement, and by hand."""

from __future__ import annotations

import pytest
from support.brute_links import best_linked_flow
from support.clusters import host, link, profile, spec_of, tiny_model
from support.random_clusters import SMALL, TINY, random_spec

from hexplan.spec import Spec
from hexplan_solver.bounds.crossing_bound import crossing_bound
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.problem.zones import link_limits

MICRO = 10**6


def bound_of(spec: Spec) -> int:
    problem = build_problem(spec)
    bound = work_bound(problem)
    return crossing_bound(problem, link_limits(problem, bound).zones, bound)


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 30))]
)
@pytest.mark.parametrize("dials", [SMALL, TINY])
def test_no_placement_of_a_small_cluster_passes_more(seed: int, dials: object) -> None:
    spec = random_spec(seed, dials, 1.0)  # type: ignore[arg-type]
    bound = bound_of(spec)
    assert best_linked_flow(spec, 0.0) * MICRO <= bound * (1 + 1e-9) + 1


def test_hosts_that_cannot_serve_alone_pass_what_their_links_carry() -> None:
    """Two hosts hold half of the layers each at 100 tokens/s, and 10 pass from one to the other."""
    model = tiny_model(4)
    hosts = [host(f"h-{site}", ["d0"], site=site) for site in "ab"]
    links = [
        link(*ends, 10 * model.hidden * model.dtype_bytes)
        for ends in (("a", "a"), ("b", "b"), ("a", "b"), ("b", "a"))
    ]
    spec = spec_of(model, hosts, profiles=[profile("d0", [200, 100])], links=links)
    assert work_bound(build_problem(spec)) == 100 * MICRO
    assert bound_of(spec) == 20 * MICRO


def test_links_that_carry_more_than_the_hosts_serve_leave_the_bound() -> None:
    spec = spec_of(tiny_model(4), [host("a", ["d0"]), host("b", ["d0"])])
    assert bound_of(spec) == work_bound(build_problem(spec))
