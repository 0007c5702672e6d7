"""Flows by the site LP: as large as those of the whole network, with prices that prove it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clusters import FAST, host, link, profile, spec_of, tiny_model
from test_flow import LAYERS, MICRO, assert_flow_is_sound

from hexplan.bound_proof import WorkProof
from hexplan.check import check_plan
from hexplan.cluster import Link
from hexplan.plan import SolveInfo
from hexplan.spec import Spec
from hexplan_solver.bounds.proof import Proof, Proved
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.network import Network, build_network
from hexplan_solver.flow.params import FLOW_PARAMS, FlowParams
from hexplan_solver.flow.priced_flow import shared_flow_value
from hexplan_solver.flow.site_flow import site_flow, suits_site_lp
from hexplan_solver.flow.site_lp import SiteLp
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.write import write_plan
from hexplan_solver.problem.problem import build_problem

MODEL = tiny_model(LAYERS)
TOKEN_BYTES = MODEL.hidden * MODEL.dtype_bytes
RANGES = st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS)).filter(lambda r: r[0] < r[1])
ANY_SIZE = FlowParams(site_lp_stages=1)
TRUNKS = st.sampled_from([None, 0, 7, 40, 150, 600])


def spec_with(sites: list[str], trunks: dict[tuple[str, str], int | None]) -> Spec:
    """Put hosts on three sites, with a trunk of some tokens/s from one site to another.

    0 stands for no link at all, and None for links without a trunk.
    """
    hosts = [host(f"h{i}", ["d0"], site) for i, site in enumerate(sites)]
    links: list[Link] = [link(site, site) for site in "abc"]
    for ends, tokens in trunks.items():
        if tokens == 0:
            continue
        trunk = None if tokens is None else tokens * TOKEN_BYTES
        links.append(link(*ends, FAST, trunk))
    rates = [profile("d0", [500.0, 300.0, 210.0, 170.0, 140.0, 120.0][:LAYERS])]
    return spec_of(MODEL, hosts, profiles=rates, links=links)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Stages of one device on three sites, each of which sends to the others over a trunk."""
    sites = draw(st.lists(st.sampled_from("abc"), min_size=2, max_size=9))
    sites[0] = "a"  # where the coordinator is
    trunks = {(a, b): draw(TRUNKS) for a in "abc" for b in "abc" if a != b}
    trunks["a", "b"] = draw(st.sampled_from([7, 40, 150]))
    spec = spec_with(sites, trunks)
    rates = build_problem(spec).kinds[0].rates
    ranges = [draw(RANGES) for _ in sites]
    placed = [
        PlacedStage(r, f"h{i}", (0,), 0, rates.of(*r)) for i, r in enumerate(ranges) if rates.of(*r)
    ]
    return build_network(spec, placed)


@settings(max_examples=120, deadline=None)
@given(networks())
def test_the_site_lp_carries_what_the_whole_network_carries(network: Network) -> None:
    expected = shared_flow_value(network) if network.arcs else 0.0
    assert SiteLp(network).solve().value == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(max_examples=120, deadline=None)
@given(networks())
def test_a_flow_by_sites_is_sound_and_as_large_as_its_prices_allow(network: Network) -> None:
    flow = site_flow(network, ANY_SIZE)
    if flow is None or not flow.value:
        return
    assert_flow_is_sound(network, flow)
    cut = sum((term.price * term.capacity for term in flow.cut), Decimal(0))
    assert flow.value == pytest.approx(float(cut) * MICRO, rel=1e-6)
    assert flow.value == pytest.approx(shared_flow_value(network) * MICRO, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(networks())
def test_a_plan_of_a_flow_by_sites_passes_the_check(network: Network) -> None:
    flow = site_flow(network, ANY_SIZE)
    if flow is None or not flow.value:
        return
    problem = build_problem(network.spec)
    used = {stage for path in flow.paths for stage in path.stages}
    if len(used) < len(network.stages):
        return  # a plan leaves out what nothing flows through
    proof = Proof(Proved(max(work_bound(problem), flow.value), WorkProof()), None, "feasible")
    info = SolveInfo(wall_s=0.0, seed=0, versions={})
    plan = write_plan(Draft(Evaluated(problem, network, flow), proof), info)
    assert [str(violation) for violation in check_plan(plan)] == []


def chain(trunk: int, nic: int = FAST) -> Network:
    spec = spec_with(["a", "b"], {("a", "b"): trunk, ("b", "a"): None})
    hosts = tuple(h.model_copy(update={"nic_out_bytes_per_s": nic}) for h in spec.cluster.hosts)
    spec = Spec(spec.cluster.model_copy(update={"hosts": hosts}), spec.model, spec.workload)
    half = LAYERS // 2
    stages = [
        PlacedStage((0, half), "h0", (0,), 0, 200 * MICRO),
        PlacedStage((half, LAYERS), "h1", (0,), 0, 300 * MICRO),
    ]
    return build_network(spec, stages)


@pytest.mark.parametrize(
    ("trunk", "tokens_per_s", "constraint"), [(50, 50, "trunk:a>b"), (900, 200, "stage:s0")]
)
def test_the_trunk_or_the_stage_that_binds_is_the_cut(
    trunk: int, tokens_per_s: int, constraint: str
) -> None:
    flow = site_flow(chain(trunk), ANY_SIZE)
    assert flow is not None
    assert flow.value == pytest.approx(tokens_per_s * MICRO, rel=1e-6)
    assert [term.constraint for term in flow.cut] == [constraint]


def test_a_network_card_that_binds_is_left_to_the_whole_network() -> None:
    network = chain(900, nic=30 * TOKEN_BYTES)
    assert site_flow(network, ANY_SIZE) is None
    assert shared_flow_value(network) == pytest.approx(30)


def test_the_site_lp_is_for_many_stages_trunks_and_links_of_whole_sites() -> None:
    network = chain(50)
    assert not suits_site_lp(network)
    assert suits_site_lp(network, FlowParams(site_lp_stages=2))
    many = Network(network.spec, network.stages * FLOW_PARAMS.site_lp_stages)
    assert suits_site_lp(many)
    pair = (*network.spec.cluster.links, link("h0", "h1"))
    cluster = network.spec.cluster.model_copy(update={"links": pair})
    spec = Spec(cluster, network.spec.model, network.spec.workload)
    assert not suits_site_lp(Network(spec, network.stages), ANY_SIZE)
