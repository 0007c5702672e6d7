"""Launches in which requests make way for others: the tokens stay those of the whole model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.generating import is_empty, tokens_of
from support.processes import wait_until
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import make_plan, without_way_back

from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.schedule.queueing.params import QUEUE_PARAMS, Queueing
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, Sampling

pytestmark = pytest.mark.slow

NUM_TOKENS = 14
OFTEN = replace(QUEUE_PARAMS, first_quantum_decodes=1, quantum_growth=1.3, host_share=3.0)
"""Quanta of one decode and a little more, so that requests make way all the time."""


@pytest.fixture(scope="module")
def continuations(austen: Path) -> list[Continuation]:
    return clear_continuations(load_reference(austen), 12, NUM_TOKENS)


def plans(model: Model) -> dict[str, Plan]:
    direct = make_plan(model, [((0, 4), (1,)), ((4, 6), (1,))], kv_tokens=120)
    return {"way back": direct, "by the router": without_way_back(direct)}


@pytest.fixture(scope="module", params=["way back", "by the router"])
def pipeline(
    request: pytest.FixtureRequest, austen: Path, austen_model: Model
) -> Iterator[Pipeline]:
    plan = plans(austen_model)[request.param]
    with Pipeline(plan, austen, queue=Queueing("mlfq", OFTEN)) as running:
        yield running


def test_tokens_are_those_of_transformers_however_often_requests_make_way(
    pipeline: Pipeline, continuations: list[Continuation]
) -> None:
    before = pipeline.core.snapshot().swaps
    requests = [Request(one.prompt_ids, NUM_TOKENS) for one in continuations]
    assert tokens_of(pipeline, requests) == [one.token_ids for one in continuations]
    assert pipeline.core.snapshot().swaps - before >= 3
    assert wait_until(lambda: is_empty(pipeline.core))


def test_drawn_tokens_are_those_of_an_undisturbed_run(
    pipeline: Pipeline, continuations: list[Continuation]
) -> None:
    requests = [
        Request(one.prompt_ids, NUM_TOKENS, Sampling(temperature=1.0, seed=seed))
        for seed, one in enumerate(continuations)
    ]
    alone = [tokens_of(pipeline, [request])[0] for request in requests[:3]]
    before = pipeline.core.snapshot().swaps
    assert tokens_of(pipeline, requests)[:3] == alone
    assert pipeline.core.snapshot().swaps > before
