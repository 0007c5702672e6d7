"""What another plan keeps, adds and ends, for any plans that follow one another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.applied import DEVICES, FULL_BYTES, HALF_BYTES, plan_on
from support.runtime_plans import bare_model

from hexplan.cluster import Limits
from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan.plan import Plan
from hexplan_runtime.applying.growth import growth_of
from hexplan_runtime.applying.view import View
from hexplan_runtime.applying.wires import Wires, needed_edges

MODEL = bare_model(4)
PLAIN = plan_on(MODEL, [((0, 4), 0)], [((0,), 100)])
LAYERS: list[tuple[Range, ...]] = [((0, 4),), ((0, 2), (2, 4)), ((0, 1), (1, 4))]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return a plan of one or two chains of stages, on devices in any order."""
    chains = draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=2))
    devices = draw(st.permutations(range(DEVICES)))
    stages = [layers for chain in chains for layers in chain]
    first = draw(st.integers(0, 100)) if len(chains) == 2 else 100
    routes, begun = [], 0
    for chain, percent in zip(chains, (first, 100 - first), strict=False):
        routes.append((tuple(range(begun, begun + len(chain))), percent))
        begun += len(chain)
    return plan_on(MODEL, list(zip(stages, devices, strict=False)), routes)


@settings(max_examples=20)
@given(st.lists(plans(), min_size=1, max_size=4))
def test_a_launch_keeps_the_places_of_all_that_it_ever_had(found: list[Plan]) -> None:
    view = View.first(found[0])
    for plan in found[1:]:
        growth = growth_of(view, plan)
        whole, before = growth.after.whole, view.whole
        assert [stage.id for stage in whole.stages[: len(before.stages)]] == [
            stage.id for stage in before.stages
        ]
        assert len({stage.id for stage in whole.stages}) == len(whole.stages)
        assert [route.hops for route in whole.routes[: len(before.routes)]] == [
            route.hops for route in before.routes
        ]
        for stage, place in zip(plan.stages, growth.after.stages, strict=True):
            there = whole.stages[place]
            assert (stage.devices, stage.layers) == (there.devices, there.layers)
        weights = {n: route.weight for n, route in enumerate(whole.routes)}
        assert [weights.pop(place) for place in growth.after.routes] == [
            route.weight for route in plan.routes
        ]
        assert not any(weights.values())
        assert growth.kept | growth.added == set(growth.after.stages)
        assert growth.kept | growth.retired == set(view.stages)
        assert not growth_of(growth.after, plan).is_new
        view = growth.after


@settings(max_examples=20)
@given(plans(), plans())
def test_what_goes_back_has_the_weights_and_routes_from_before(first: Plan, second: Plan) -> None:
    growth = growth_of(View.first(first), second)
    weights = [route.weight for route in growth.held_back.routes]
    assert weights[: len(first.routes)] == [route.weight for route in first.routes]
    assert not any(weights[len(first.routes) :])


def test_stages_end_first_only_where_a_device_does_not_hold_both() -> None:
    half = [plan_on(MODEL, [(layers, 0)], [((0,), 100)]) for layers in ((0, 4),)]
    before = View.first(half[0])
    tall = plan_on(MODEL, [((0, 2), 0), ((2, 4), 1)], [((0, 1), 100)])
    assert growth_of(before, tall).first == frozenset()
    full = plan_on(MODEL, [((0, 2), 0), ((2, 4), 1)], [((0, 1), 100)], FULL_BYTES)
    assert growth_of(before, full).first == {0}
    assert growth_of(before, full).closed_first == {0}
    assert HALF_BYTES * 2 <= FULL_BYTES


def test_a_stage_that_others_enter_at_another_layer_is_not_kept() -> None:
    """Its cache has no block that begins there."""
    stages: list[tuple[Range, int]] = [((0, 2), 0), ((2, 4), 1), ((0, 3), 2)]
    before = View.first(plan_on(MODEL, stages, [((0, 1), 50), ((0, 1), 50)]))
    growth = growth_of(before, plan_on(MODEL, stages, [((0, 1), 50), ((2, 1), 50)]))
    assert growth.kept == {0, 2}
    assert growth.retired == {1}


@settings(max_examples=20)
@given(st.lists(plans(), min_size=1, max_size=4))
def test_no_number_of_an_edge_is_given_twice(found: list[Plan]) -> None:
    view, given_out = View.first(found[0]), dict[int, tuple[str, str]]()
    wires = Wires(found[0], ())
    for plan in found:
        view = growth_of(view, plan).after
        for edge in wires.add(view.whole, view.routes):
            assert edge.number not in given_out
        wires.keep(view.whole, view.routes)
        given_out |= {edge.number: edge.ends for edge in wires.edges}
        assert {edge.ends for edge in wires.edges} == set(needed_edges(view.whole, view.routes))


def test_another_way_of_queueing_is_refused() -> None:
    plan = PLAIN.model_copy(
        update={"cluster": PLAIN.cluster.model_copy(update={"limits": Limits(policy="whole")})}
    )
    with pytest.raises(InputError, match="another `limits.policy` than those that run"):
        growth_of(View.first(PLAIN), plan)


def test_a_stage_whose_kv_cache_has_another_size_is_moved_and_not_kept() -> None:
    """Its ranks hold a cache of one size for as long as they run."""
    plain = plan_on(MODEL, [((0, 2), 0), ((2, 4), 1)], [((0, 1), 100)])
    stages = list(plain.stages)
    stages[1] = stages[1].model_copy(update={"kv_tokens": stages[1].kv_tokens + 16})
    other = plain.model_copy(update={"stages": tuple(stages)})
    growth = growth_of(View.first(plain), other)
    assert (growth.kept, growth.retired, growth.added) == ({0}, {1}, {2})
    assert growth.after.whole.stages[2].kv_tokens == stages[1].kv_tokens
    assert growth.opened
    assert growth.removed
    back = growth_of(growth.after, plain)
    assert back.retired == {2}
    assert back.after.whole.stages[back.after.stages[1]].kv_tokens == plain.stages[1].kv_tokens
