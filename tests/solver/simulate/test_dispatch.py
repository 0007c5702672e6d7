"""Routers share requests out as they should."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.pipelines import FAST, FREE, SteadySteps

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import (
    CHUNKED,
    Constant,
    EdgeModel,
    FixedLengths,
    Outage,
    PipelineModel,
    Policy,
    RouteModel,
    StageModel,
    Window,
    simulate,
)

BY_FLOW = replace(CHUNKED, routing="edges")
BY_RESPONSE = replace(CHUNKED, routing="responses")


def twins(seconds: tuple[float, float], weights: tuple[int, int] = (1, 1)) -> PipelineModel:
    """Two stages that both hold the whole model, of one layer, and run any batch in `seconds`."""
    stages = tuple(
        StageModel(f"s{j}", (0, 1), SteadySteps(s, s), FREE) for j, s in enumerate(seconds)
    )
    edges = tuple(
        EdgeModel(*ends, FAST, 0.0, 1, float(weights[j]))
        for j in range(2)
        for ends in ((OUTSIDE, j), (j, OUTSIDE))
    )
    routes = tuple(RouteModel((j,), weight) for j, weight in enumerate(weights))
    return PipelineModel(1, stages, edges, routes, (), 1)


def counts(
    pipeline: PipelineModel, policy: Policy, outages: tuple[Outage, ...] = ()
) -> tuple[float, float]:
    """How many of 1000 requests each stage ran, if it has one at a time."""
    traffic = Constant(0.1, FixedLengths(1, 1))
    outcome = simulate(pipeline, traffic, policy, Window(10_005.0, 0.0), outages=outages)
    assert outcome.finished == 1000
    first, second = (
        use.busy * outcome.duration_s / stage.steps.layer_s(1, 0.0, 0, 0)
        for use, stage in zip(outcome.stages, pipeline.stages, strict=True)
    )
    return first, second


@pytest.mark.parametrize("policy", [CHUNKED, BY_FLOW], ids=lambda policy: policy.routing)
def test_routes_and_edges_are_used_by_their_weights(policy: Policy) -> None:
    assert counts(twins((1.0, 1.0), (3, 1)), policy) == pytest.approx((750, 250), abs=1)


def test_a_stage_that_answers_three_times_as_fast_gets_three_times_as_much() -> None:
    assert counts(twins((1.0, 3.0)), BY_RESPONSE) == pytest.approx((750, 250), abs=2)


def test_what_the_flow_says_is_nothing_to_the_one_that_goes_by_response() -> None:
    assert counts(twins((1.0, 1.0), (9, 1)), BY_RESPONSE) == pytest.approx((500, 500), abs=1)


@pytest.mark.parametrize(
    "policy", [CHUNKED, BY_FLOW, BY_RESPONSE], ids=lambda policy: policy.routing
)
def test_a_stage_that_is_down_gets_nothing(policy: Policy) -> None:
    assert counts(twins((1.0, 1.0)), policy, (Outage(0, 0.0),)) == (0, 1000)
