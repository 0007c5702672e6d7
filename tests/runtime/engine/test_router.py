from __future__ import annotations

from collections import Counter
from decimal import Decimal
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runtime_plans import bare_model, make_plan

from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan_runtime.engine.router import Router

MODEL = bare_model(layers=2)
REQUESTS = 1000


def parallel_plan(weights: list[Decimal], kv_tokens: int = 10**9) -> Plan:
    """Return a plan with as many routes as weights, each a stage of its own."""
    stages = [((0, 2), (1,))] * len(weights)
    plan = make_plan(MODEL, stages, [([i], 1) for i in range(len(weights))], kv_tokens=kv_tokens)
    routes = [
        route.model_copy(update={"weight": weight})
        for route, weight in zip(plan.routes, weights, strict=True)
    ]
    return plan.model_copy(update={"routes": tuple(routes)})


@st.composite
def weights(draw: st.DrawFn) -> list[Decimal]:
    """Return shares of 1e-9 that sum to exactly 1."""
    parts = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=12))
    whole = [10**9 * part // sum(parts) for part in parts]
    whole[0] += 10**9 - sum(whole)
    return [Decimal(part).scaleb(-9) for part in whole]


@given(weights())
def test_shares_hold_at_every_moment_of_a_thousand_requests(weights: list[Decimal]) -> None:
    """Each count stays within 1 + ln(routes) of its share, however long it goes on."""
    router = Router(parallel_plan(weights))
    slack = 1 + log(len(weights))
    counts: Counter[int | None] = Counter()
    for done in range(1, REQUESTS + 1):
        counts[router.take(1)] += 1
        for route, weight in enumerate(weights):
            assert abs(counts[route] - float(weight) * done) <= slack


def test_a_full_route_is_passed_over_until_room_is_given_back() -> None:
    router = Router(parallel_plan([Decimal("0.9"), Decimal("0.1")], kv_tokens=10))
    assert [router.take(10), router.take(10), router.take(10)] == [0, 1, None]
    router.give_back(1, 10)
    assert router.take(11) is None
    assert router.take(10) == 1


def test_room_is_that_of_the_fullest_stage_on_the_way() -> None:
    plan = make_plan(
        MODEL,
        [((0, 1), (1,)), ((1, 2), (1,)), ((1, 2), (1,))],
        [([0, 1], 50), ([0, 2], 50)],
        kv_tokens=10,
    )
    router = Router(plan)
    assert [router.take(5), router.take(5)] == [0, 1]
    assert router.take(5) is None  # stages 1 and 2 have room, stage 0 has none
    router.give_back(0, 5)
    assert router.take(5) in (0, 1)


def test_a_route_of_weight_zero_is_never_taken() -> None:
    router = Router(parallel_plan([Decimal(0), Decimal(1)]))
    assert {router.take(1) for _ in range(50)} == {1}


def test_a_request_too_long_for_every_route_is_refused_with_the_sum() -> None:
    router = Router(parallel_plan([Decimal(1)], kv_tokens=64))
    router.check("request 3", 60, 4)
    with pytest.raises(InputError, match=r"request 3: 60 prompt \+ 5 new = 65 tokens .* for 64"):
        router.check("request 3", 60, 5)


def test_a_request_that_fits_an_empty_route_only_is_not_refused_while_it_is_full() -> None:
    router = Router(parallel_plan([Decimal(1)], kv_tokens=64))
    assert router.take(64) == 0
    router.check("request 1", 60, 4)
    assert router.take(64) is None


@given(weights())
def test_shares_are_the_new_ones_at_once_after_weights_have_changed(given: list[Decimal]) -> None:
    router = Router(parallel_plan(given))
    for _ in range(50):
        router.take(1)
    other = tuple(reversed(router.weights))
    router.reweigh(other)
    assert router.planned == tuple(reversed(other))
    counts = Counter(router.take(1) for _ in range(REQUESTS))
    for route, weight in enumerate(other):
        assert abs(counts[route] - weight / 10**9 * REQUESTS) <= 2 * (1 + log(len(given)))
