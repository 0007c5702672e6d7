"""Flows by stacking: as large as the least coverage, and None as soon as a link refuses."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.brute import flow_of
from support.clusters import host, link, profile, spec_of, tiny_model
from test_flow import LAYERS, MICRO, assert_flow_is_sound, placements

from hexplan.spec import Spec
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.stacking import stacked_flow
from hexplan_solver.placement.placement import PlacedStage


def spec_with(num_hosts: int, between: int | None = None) -> Spec:
    model = tiny_model(LAYERS)
    hosts = [host(f"h{i}", ["d0"], site="ab"[i % 2]) for i in range(num_hosts)]
    ends = [("a", "a"), ("b", "b"), ("a", "b"), ("b", "a")]
    width = None if between is None else between * model.hidden * model.dtype_bytes
    links = [link(a, b) if a == b or width is None else link(a, b, width) for a, b in ends]
    links += [link("coordinator", "b"), link("b", "coordinator")]
    return spec_of(model, hosts, profiles=[profile("d0", [1.0] * LAYERS)], links=links)


RANGES = st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS)).filter(lambda r: r[0] < r[1])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(RANGES, st.integers(1, 10**9)), min_size=1, max_size=12))
def test_where_links_are_wide_the_flow_is_the_least_coverage(
    stages: list[tuple[tuple[int, int], int]],
) -> None:
    placed = [PlacedStage(r, f"h{i}", (0,), 0, rate) for i, (r, rate) in enumerate(stages)]
    network = build_network(spec_with(len(stages)), placed)
    covered = min(
        sum(s.rate for s in placed if s.layers[0] <= layer < s.layers[1]) for layer in range(LAYERS)
    )
    flow = stacked_flow(network)
    if covered == 0:
        assert flow is None
        return
    assert flow is not None
    assert flow.value == covered
    assert_flow_is_sound(network, flow)
    assert sum(term.price * term.capacity for term in flow.cut) * MICRO == covered


@settings(max_examples=100, deadline=None)
@given(placements())
def test_what_is_stacked_over_narrow_links_is_a_largest_flow_too(
    case: tuple[Spec, list[PlacedStage]],
) -> None:
    spec, stages = case
    network = build_network(spec, stages)
    flow = stacked_flow(network)
    if flow is not None:
        assert_flow_is_sound(network, flow)
        assert flow.value == flow_of(spec, [(s.host, s.layers, s.rate) for s in stages])


def test_a_flow_that_no_link_carries_is_left_to_the_max_flow() -> None:
    halves = [
        PlacedStage((0, 3), "h0", (0,), 0, 9 * MICRO),
        PlacedStage((3, 6), "h1", (0,), 0, 9 * MICRO),
    ]
    assert stacked_flow(build_network(spec_with(2, between=8), halves)) is None
    assert stacked_flow(build_network(spec_with(2, between=9), halves)) is not None


def test_flow_stays_on_its_site_where_that_has_room() -> None:
    stages = [
        PlacedStage(layers, f"h{i}", (0,), 0, 5 * MICRO)
        for i, layers in enumerate([(0, 3), (0, 3), (3, 6), (3, 6)])
    ]
    network = build_network(spec_with(4), stages)
    flow = stacked_flow(network)
    assert flow is not None
    sites = [{network.stages[i].host in ("h0", "h2") for i in path.stages} for path in flow.paths]
    assert len(flow.paths) == 2
    assert all(len(found) == 1 for found in sites)
