"""The layered bound against every placement, and by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.brute_links import best_linked_flow
from support.clusters import host, link, profile, spec_of, tiny_model
from support.random_clusters import SMALL, TINY, Dials, random_spec

from hexplan.constants import MICRO
from hexplan.spec import Spec
from hexplan_solver.bounds.layered_bound import layered_bound
from hexplan_solver.bounds.params import BOUND_PARAMS
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.problem.problem import build_problem

MODEL = tiny_model(4)


def bound_of(spec: Spec, blocks: int = BOUND_PARAMS.layered_blocks) -> int:
    problem = build_problem(spec)
    params = replace(BOUND_PARAMS, layered_blocks=blocks)
    return layered_bound(problem, work_bound(problem), params)


def two_halves(*rates: tuple[str, str, int]) -> Spec:
    """Two hosts hold half of the layers each at 100 tokens/s, with links of so many tokens/s."""
    hosts = [host(f"h-{site}", ["d0"], site=site) for site in "ab"]
    per_token = MODEL.hidden * MODEL.dtype_bytes
    links = [link("a", "a"), link("b", "b")]
    links += [link(source, target, rate * per_token) for source, target, rate in rates]
    return spec_of(MODEL, hosts, profiles=[profile("d0", [200, 100])], links=links)


@pytest.mark.parametrize("blocks", [1, 8])
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("dials", [SMALL, TINY])
def test_no_placement_of_a_small_cluster_passes_more(seed: int, dials: Dials, blocks: int) -> None:
    spec = random_spec(seed, dials, 1.0)
    bound = bound_of(spec, blocks)
    assert best_linked_flow(spec, 0.0) * MICRO <= bound * (1 + 1e-9) + 1


def test_hosts_that_cannot_serve_alone_pass_what_their_links_carry() -> None:
    spec = two_halves(("a", "b", 10), ("b", "a", 20))
    assert bound_of(spec) == pytest.approx(30 * MICRO, rel=1e-5)


def test_a_site_from_which_no_token_returns_needs_a_way_through_another() -> None:
    """The coordinator is at a: what b serves has to be sent there, and nothing is."""
    spec = two_halves(("a", "b", 1000))
    assert work_bound(build_problem(spec)) == 100 * MICRO
    assert bound_of(spec) == 0


def test_links_that_carry_more_than_the_hosts_serve_leave_the_bound() -> None:
    spec = spec_of(tiny_model(4), [host("a", ["d0"]), host("b", ["d0"])])
    assert bound_of(spec) == work_bound(build_problem(spec))
