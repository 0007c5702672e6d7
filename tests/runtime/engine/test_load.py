"""Many requests at once, with little room, cancels and stages that fall behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from support.callers import Caller, is_idle
from support.processes import wait_until
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import StageSpec, make_plan

from hexplan.model import Model
from hexplan.step_limits import StepLimits
from hexplan_runtime.engine.outcomes import Cancelled, Failed, Ticket
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Penalties, Request, Sampling, TokenBias

KV_TOKENS = 300
LIMITS = StepLimits(tokens=24, decodes=8)
MOST_NEW = 40
FORK: list[StageSpec] = [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))]
MEETING: list[StageSpec] = [((0, 3), (1,)), ((1, 4), (1,)), ((0, 1), (1,))]


@pytest.fixture(scope="module")
def continuations(llama: Path) -> list[Continuation]:
    return clear_continuations(load_reference(llama), 16, MOST_NEW)


@dataclass(frozen=True)
class Case:
    stages: list[StageSpec]
    routes: list[tuple[list[int], int]]
    num_requests: int


@pytest.mark.parametrize(
    "case",
    [
        Case([((0, 4), (1,))], [([0], 100)], num_requests=40),
        pytest.param(
            Case(MEETING, [([0, 1], 60), ([2, 1], 40)], num_requests=200), marks=pytest.mark.slow
        ),
        pytest.param(Case([((0, 4), (1, 2))], [([0], 100)], 200), marks=pytest.mark.slow),
    ],
    ids=["forty", "two hundred over two routes", "two hundred over two devices"],
)
def test_requests_keep_their_tokens_while_some_are_cancelled_and_some_make_way(
    llama: Path, llama_model: Model, continuations: list[Continuation], case: Case
) -> None:
    """Requests go on for up to 40 tokens where 16 are expected, so that the caches fill up."""
    random = Random(3)
    plan = make_plan(llama_model, case.stages, case.routes, kv_tokens=KV_TOKENS, step_limits=LIMITS)
    count = case.num_requests
    caller = Caller()
    tickets: dict[int, Ticket] = {}
    chosen: dict[int, tuple[int, ...]] = {}
    with Pipeline(plan, llama) as pipeline:
        core = pipeline.core
        for index in range(count):
            one, new = random.choice(continuations), random.randint(1, MOST_NEW)
            request = Request(one.prompt_ids, new)
            chosen[index] = one.token_ids[:new]
            tickets[index] = core.submit(request, caller.deliver_as(index))
        doomed = {index for index in tickets if index % 5 == 0}
        for index in sorted(doomed)[::2]:
            tickets[index].cancel()
        while len(caller.ends) < count:
            index = caller.take()
            if index in doomed and len(caller.tokens[index]) == 3:
                tickets[index].cancel()
        assert wait_until(lambda: is_idle(core))
        seen = core.snapshot()
    assert seen.preemptions > 0
    for index, tokens in caller.tokens.items():
        end = caller.ends[index]
        assert tuple(tokens) == chosen[index][: len(tokens)]
        if isinstance(end, Failed):
            assert index in doomed
            assert isinstance(end.error, Cancelled)
        else:
            assert len(tokens) == len(chosen[index])
    counts = {end.reason: end.requests for end in seen.ends}
    assert counts["cancelled"] + counts["length"] == count
    assert counts["cancelled"] >= count // 10


def test_what_was_drawn_stays_the_same_when_a_request_makes_way(
    llama: Path, llama_model: Model
) -> None:
    free = [Sampling(temperature=0.8, seed=n) for n in range(4)]
    steered = {
        "penalties": Penalties(1.3, 0.5, 0.4),
        "biases": (TokenBias(9, 2.0),),
        "prompt_logprobs": 1,
    }
    samplings = [*free[:2], *(replace(one, **steered) for one in free[2:])]
    requests = [Request((1 + n, 2, 3), 80, one) for n, one in enumerate(samplings)]
    found = []
    for kv_tokens in (4 * 83, 120):
        plan = make_plan(llama_model, [((0, 4), (1,))], kv_tokens=kv_tokens)
        tokens: list[list[int]] = [[] for _ in requests]
        told = [0] * len(requests)
        with Pipeline(plan, llama) as pipeline:
            for event in pipeline.generate(requests):
                tokens[event.request_index].append(event.token_id)
                told[event.request_index] += len(event.prompt_logprobs)
            assert told == [0, 0, 2, 2]
            found.append((tokens, pipeline.core.snapshot().preemptions > 0))
    assert [has_preempted for _, has_preempted in found] == [False, True]
    assert found[0][0] == found[1][0]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_stage_that_stands_still_does_not_hold_other_routes_up(
    llama: Path, llama_model: Model, continuations: list[Continuation]
) -> None:
    plan = make_plan(llama_model, FORK, [([0, 1], 50), ([0, 2], 50)], step_limits=LIMITS)
    caller = Caller()
    with Pipeline(plan, llama) as pipeline:
        with stopped(pipeline.pids[1]):
            for index, one in enumerate(continuations):
                request = Request(one.prompt_ids, MOST_NEW)
                pipeline.core.submit(request, caller.deliver_as(index))
            while len(caller.ends) < len(continuations) // 2:
                caller.take()
        while len(caller.ends) < len(continuations):
            caller.take()
    for index, one in enumerate(continuations):
        assert tuple(caller.tokens[index]) == one.token_ids


@pytest.mark.slow
def test_a_thousand_streams_at_once_lose_no_token(
    llama: Path, llama_model: Model, continuations: list[Continuation]
) -> None:
    plan = make_plan(llama_model, FORK, [([0, 1], 50), ([0, 2], 50)], kv_tokens=4096)
    caller = Caller()
    with Pipeline(plan, llama) as pipeline:
        for index in range(1000):
            one = continuations[index % len(continuations)]
            request = Request(one.prompt_ids, 1 + index % 30)
            pipeline.core.submit(request, caller.deliver_as(index))
        while len(caller.ends) < 1000:
            caller.take()
        assert wait_until(lambda: is_idle(pipeline.core))
    for index, tokens in caller.tokens.items():
        expected = continuations[index % len(continuations)].token_ids[: 1 + index % 30]
        assert tuple(tokens) == expected
