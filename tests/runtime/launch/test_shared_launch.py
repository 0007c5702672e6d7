"""Launches whose ranks share out the tokens of steps, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.callers import Caller
from support.generating import tokens_of
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import make_plan, sharing
from support.threads import running_in_threads

from hexplan.cost import StageShape
from hexplan.cost.memory import memory_needs
from hexplan.model import Model
from hexplan.spec import Spec
from hexplan.step_limits import StepLimits
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, Sampling

NUM_TOKENS = 12
LIMITS = StepLimits(tokens=32, decodes=8)
WAYS = {"sp": None, "shift": 6}


@pytest.fixture(scope="module")
def continuations(austen: Path) -> list[Continuation]:
    """Return prompts of 1 to 60 tokens, and what transformers makes of them."""
    return clear_continuations(load_reference(austen), 16, NUM_TOKENS)


@pytest.fixture(scope="module", params=[pytest.param("sp", marks=pytest.mark.slow), "shift"])
def pipeline(
    request: pytest.FixtureRequest, austen: Path, austen_model: Model
) -> Iterator[Pipeline]:
    plan = make_plan(austen_model, [((0, 6), (1, 1))], step_limits=LIMITS)
    with Pipeline(sharing(plan, WAYS[request.param]), austen) as running:
        yield running


def requests(found: list[Continuation], sampling: Callable[[int], Sampling]) -> list[Request]:
    return [Request(one.prompt_ids, NUM_TOKENS, sampling(seed)) for seed, one in enumerate(found)]


def test_prompts_give_the_tokens_of_one_process(
    pipeline: Pipeline, continuations: list[Continuation]
) -> None:
    found = tokens_of(pipeline, requests(continuations, lambda _: Sampling()))
    assert found == [one.token_ids for one in continuations]


def test_seeds_draw_the_tokens_that_one_device_draws(
    pipeline: Pipeline, continuations: list[Continuation], austen: Path, austen_model: Model
) -> None:
    asked = requests(continuations[:8], lambda seed: Sampling(temperature=0.9, seed=seed))
    caller = Caller()
    alone = make_plan(austen_model, [((0, 6), (1,))], step_limits=LIMITS)
    with running_in_threads(alone, austen) as core:
        for index, request in enumerate(asked):
            core.submit(request, caller.deliver_as(index))
        while len(caller.ends) < len(asked):
            caller.take(300.0)
    drawn = [tuple(caller.tokens[index]) for index in range(len(asked))]
    assert drawn != [one.token_ids for one in continuations[:8]]
    assert tokens_of(pipeline, asked) == drawn


def test_each_rank_holds_what_the_plan_counts(pipeline: Pipeline) -> None:
    """Whole layers, its rows of the vocabulary, and the keys and values of its heads."""
    plan = pipeline.plan
    spec = Spec(plan.cluster, plan.model, plan.workload)
    (stage,) = plan.stages
    needs = memory_needs(spec, StageShape.of(plan, stage))
    assert [rank.weights_bytes for rank in pipeline.stats] == [one.weights_bytes for one in needs]
    kv_bytes = [stage.kv_tokens * one.kv_token_bytes for one in needs]
    assert [rank.kv_bytes for rank in pipeline.stats] == kv_bytes
