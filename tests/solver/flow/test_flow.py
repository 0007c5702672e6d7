"""Max-flow, its cut, and its routes, against networkx and against definitions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.brute import flow_of
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.spec import Spec
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import OUTSIDE, Network, build_network
from hexplan_solver.flow.priced_flow import priced_flow
from hexplan_solver.flow.routes import Flow
from hexplan_solver.placement.placement import PlacedStage

LAYERS = 6
MICRO = 10**6


@st.composite
def placements(draw: st.DrawFn) -> tuple[Spec, list[PlacedStage]]:
    """Stages on hosts of their own, at two sites with a link that may bind."""
    model = tiny_model(LAYERS)
    token_bytes = model.hidden * model.dtype_bytes
    stages = []
    hosts = []
    for i in range(draw(st.integers(1, 7))):
        first = draw(st.integers(0, LAYERS - 1))
        end = draw(st.integers(first + 1, LAYERS))
        hosts.append(host(f"h{i}", ["d0"], site=draw(st.sampled_from("ab"))))
        rate = draw(st.integers(1, 1000)) * MICRO
        stages.append(PlacedStage((first, end), f"h{i}", (0,), 0, rate))
    between = draw(st.integers(1, 500)) * token_bytes
    links = [link("a", "a"), link("b", "b"), link("a", "b", between), link("b", "a", between)]
    spec = spec_of(model, hosts, profiles=[profile("d0", [1.0] * LAYERS)], links=links)
    return spec, stages


def assert_flow_is_sound(network: Network, flow: Flow) -> None:
    """Check conservation and capacity from the definitions."""
    load: dict[tuple[int, int], int] = {}
    through: dict[int, int] = {}
    for path in flow.paths:
        assert path.amount > 0
        for step in zip((OUTSIDE, *path.stages), (*path.stages, OUTSIDE), strict=True):
            load[step] = load.get(step, 0) + path.amount
        for stage in path.stages:
            through[stage] = through.get(stage, 0) + path.amount
    capacity = {(arc.source, arc.target): arc for arc in network.arcs}
    for step, amount in load.items():
        assert amount <= capacity[step].capacity
    for stage, amount in through.items():
        assert amount <= network.stages[stage].rate
    for index, shared in enumerate(network.shared):
        carried = sum(
            amount * capacity[step].token_bytes
            for step, amount in load.items()
            if index in capacity[step].shared
        )
        assert carried <= shared.bytes_per_s * MICRO
    assert flow.value == sum(path.amount for path in flow.paths)


@settings(max_examples=150, deadline=None)
@given(placements())
def test_the_flow_is_what_networkx_finds_on_a_graph_built_apart(
    case: tuple[Spec, list[PlacedStage]],
) -> None:
    spec, stages = case
    network = build_network(spec, stages)
    flow = max_flow(network)
    assert_flow_is_sound(network, flow)
    assert flow.value == flow_of(spec, [(s.host, s.layers, s.rate) for s in stages])
    cut = sum((term.price * term.capacity for term in flow.cut), Decimal(0))
    assert cut * MICRO == flow.value


@settings(max_examples=80, deadline=None)
@given(placements())
def test_the_lp_agrees_with_the_exact_flow_where_nothing_is_shared(
    case: tuple[Spec, list[PlacedStage]],
) -> None:
    spec, stages = case
    network = build_network(spec, stages)
    exact, priced = max_flow(network), priced_flow(network)
    assert_flow_is_sound(network, priced)
    assert priced.value <= exact.value
    assert exact.value - priced.value <= 1 + 1e-8 * exact.value + len(network.arcs)


@pytest.mark.parametrize(
    ("nic_tokens", "trunk_tokens", "expected"),
    [
        (1000, None, 200.0),  # two stages of 100 each: nothing shared binds
        (150, None, 150.0),  # the second host's NIC takes 150 activations/s
        (1000, 70, 70.0),  # the trunk between the sites takes 70
    ],
)
def test_a_nic_and_a_trunk_hold_for_all_their_edges_together(
    nic_tokens: int, trunk_tokens: int | None, expected: float
) -> None:
    model = tiny_model(2)
    token_bytes = model.hidden * model.dtype_bytes
    trunk = trunk_tokens * token_bytes if trunk_tokens else None
    hosts = [host("h0", ["d0"] * 2, "a"), host("h1", ["d0"] * 2, "b", nic_tokens * token_bytes)]
    links = [
        link("a", "a"),
        link("a", "b", trunk=trunk),
        link("coordinator", "a"),
        link("b", "coordinator"),
    ]
    spec = spec_of(model, hosts, profiles=[profile("d0", [100.0])], links=links)
    stages = [
        PlacedStage((i, i + 1), f"h{i}", (d,), 0, 100 * MICRO) for i in (0, 1) for d in (0, 1)
    ]
    network = build_network(spec, stages)
    flow = max_flow(network)
    assert_flow_is_sound(network, flow)
    assert flow.value / MICRO == pytest.approx(expected, rel=1e-6)
    cut = sum((term.price * term.capacity for term in flow.cut), Decimal(0))
    assert float(cut) == pytest.approx(expected, rel=1e-6)
