"""A stage that fails takes its requests with it; they start over elsewhere, or wait for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from support.pipelines import FAST, FREE, TokenSteps, chain

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate import (
    CHUNKED,
    WHOLE,
    EdgeModel,
    Outage,
    PipelineModel,
    Replay,
    RouteModel,
    StageModel,
    Window,
    simulate,
)

STEPS = TokenSteps(0.1, 0.1)


def _twins() -> PipelineModel:
    """Two stages that both hold the whole model, each a route of its own."""
    stages = tuple(StageModel(f"s{j}", (0, 1), STEPS, FREE) for j in range(2))
    edges = tuple(
        EdgeModel(a, b, FAST, 0.0, 1, 1.0)
        for a, b in ((OUTSIDE, 0), (OUTSIDE, 1), (0, OUTSIDE), (1, OUTSIDE))
    )
    return PipelineModel(1, stages, edges, (RouteModel((0,), 1), RouteModel((1,), 1)), (), 1)


def test_a_request_starts_over_with_its_tokens_so_far_when_its_stage_is_back() -> None:
    """10 prompt tokens end at 1.0, three decodes at 1.3; it fails at 1.35, and is back at 5.

    Then 10 + 4 tokens are prefilled until 6.4, which gives the fifth token; the last five decodes
    end at 6.9.
    """
    outcome = simulate(
        chain(STEPS),
        Replay(((0.0, 10, 10),)),
        CHUNKED,
        Window(20.0, 0.0),
        outages=[Outage(0, 1.35, 5.0)],
    )
    assert outcome.restarts == 1
    assert outcome.e2e is not None and outcome.ttft is not None
    assert outcome.ttft.mean_s == pytest.approx(1.0)
    assert outcome.e2e.mean_s == pytest.approx(6.9)
    assert outcome.itl is not None and outcome.itl.percentiles_s[-1] == pytest.approx(5.1, rel=0.01)


@pytest.mark.parametrize("routing", ["routes", "edges"])
def test_the_rest_goes_on_and_takes_the_requests_over(routing: Literal["routes", "edges"]) -> None:
    policy = replace(CHUNKED, routing=routing)
    requests = Replay(tuple((0.2 * i, 3, 5) for i in range(20)))
    outcome = simulate(_twins(), requests, policy, Window(60.0, 0.0), outages=[Outage(0, 1.0)])
    assert outcome.finished == 20
    assert outcome.restarts > 0
    assert outcome.stages[0].busy < 0.1 * outcome.stages[1].busy


def test_what_was_admitted_by_a_guess_is_put_out_when_the_kv_cache_is_full() -> None:
    pipeline = chain(STEPS, kv_tokens=40, max_prompts=4)
    requests = Replay(tuple((0.0, 5, 25) for _ in range(3)))
    reservation = replace(WHOLE.reservation, expected_output_tokens=5, fill=1.0)
    policy = replace(WHOLE, reservation=reservation)
    outcome = simulate(pipeline, requests, policy, Window(None))
    assert outcome.finished == 3
    assert outcome.restarts > 0
    assert outcome.stages[0].max_kv <= 1.0


def test_a_request_that_never_fits_is_turned_away() -> None:
    outcome = simulate(
        chain(STEPS, kv_tokens=40), Replay(((0.0, 30, 11), (0.0, 30, 10))), CHUNKED, Window(None)
    )
    assert (outcome.turned_away, outcome.finished) == (1, 1)
