"""What links may limit: trunks, and zones between which little passes."""

from __future__ import annotations

import pytest
from support.clusters import FAST, host, link, profile, spec_of, tiny_model

from hexplan.spec import Spec
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.problem.zones import link_limits

MICRO = 10**6
MODEL = tiny_model(4)
TOKEN_BYTES = MODEL.hidden * MODEL.dtype_bytes


def two_sites(trunk_tokens_per_s: int | None, bandwidth: int = FAST) -> Spec:
    """Two hosts at two sites, joined both ways by a link, with a trunk or without."""
    trunk = None if trunk_tokens_per_s is None else trunk_tokens_per_s * TOKEN_BYTES
    links = [link("a", "a"), link("b", "b")]
    links += [link(*ends, bandwidth, trunk=trunk) for ends in (("a", "b"), ("b", "a"))]
    hosts = [host("h0", ["d0"], "a"), host("h1", ["d0"], "b")]
    return spec_of(MODEL, hosts, profiles=[profile("d0", [1.0] * 4)], links=links)


@pytest.mark.parametrize(("flow_tokens_per_s", "is_zoned"), [(50, False), (51, True)])
def test_sites_are_zones_where_they_exchange_less_than_twice_the_flow(
    flow_tokens_per_s: int, is_zoned: bool
) -> None:
    limits = link_limits(build_problem(two_sites(100)), flow_tokens_per_s * MICRO)
    assert limits.has_trunks
    assert limits.is_zoned == is_zoned
    assert sorted(host for zone in limits.zones for host in zone.hosts) == ["h0", "h1"]


def test_narrow_links_make_zones_without_any_trunk() -> None:
    problem = build_problem(two_sites(None, bandwidth=10 * TOKEN_BYTES))
    limits = link_limits(problem, 6 * MICRO)
    assert not limits.has_trunks
    assert limits.is_zoned
