"""Which host listens at an edge, and which calls, where some cannot be called."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.across import NAMES, plan_across
from support.runtime_plans import bare_model

from hexplan.cluster import COORDINATOR
from hexplan.errors import InputError
from hexplan_runtime.launch.places import edge_hosts, host_places, require_hosts
from hexplan_runtime.probe.reach import Reach
from hexplan_runtime.stage.topology import launch_edges

MODEL = bare_model(4)
PLAN = plan_across(
    MODEL,
    [((0, 1), (1,)), ((1, 2), (1,)), ((1, 2), (1,)), ((2, 4), (1,))],
    [f"10.0.0.{1 + n}" for n in range(4)],
    [([0, 1, 3], 50), ([0, 2, 3], 50)],
)


@settings(max_examples=16)
@given(st.sets(st.sampled_from(NAMES)))
def test_a_host_that_cannot_be_called_calls_or_the_plan_is_refused(behind: set[str]) -> None:
    neighbours = [{"ada", "bob"}, {"ada", "cyd"}, {"bob", "dot"}, {"cyd", "dot"}, {"dot", "ada"}]
    if any(pair <= behind for pair in neighbours):
        with pytest.raises(InputError, match="and neither can be called"):
            host_places(PLAN, Reach(behind=tuple(behind)))
        return
    ends = edge_hosts(PLAN, tuple(behind))
    for (listener, caller), usual in zip(ends, edge_hosts(PLAN), strict=True):
        assert {listener, caller} == set(usual)
        assert listener != COORDINATOR
        assert caller == COORDINATOR or listener not in behind
        assert (listener, caller) == usual or usual[0] in behind
    places = host_places(PLAN, Reach(behind=tuple(behind)))
    listens = [number for place in places for number in place.listens]
    assert sorted(listens) == list(range(len(launch_edges(PLAN))))


def test_a_host_that_the_plan_does_not_know_is_named() -> None:
    with pytest.raises(InputError, match="--behind-nat: found eve, needed a host of the plan: ada"):
        require_hosts(PLAN, ["dot", "eve"])
