"""Requests that make way, come back and are cancelled at random, on stages that really run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest
from support.generating import is_empty
from support.processes import wait_until
from support.reference import Continuation, clear_continuations, load_reference
from support.runtime_plans import make_plan, without_way_back
from support.threads import running_in_threads

from hexplan.model import Model
from hexplan.schedule.queueing.params import QUEUE_PARAMS, Queueing
from hexplan.step_limits import StepLimits
from hexplan.techniques import QueueName
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Failed
from hexplan_runtime.engine.queueing.queued_engine import QueuedEngine
from hexplan_runtime.request import Request, TokenEvent

NUM_TOKENS = 18
OFTEN = replace(QUEUE_PARAMS, first_quantum_decodes=1, quantum_growth=1.3, starve_s=0.2)
LAYERS = {"two stages": [((0, 4), (1,)), ((4, 6), (1,))], "one stage": [((0, 6), (1,))]}


@pytest.fixture(scope="module")
def continuations(austen: Path) -> list[Continuation]:
    return clear_continuations(load_reference(austen), 16, NUM_TOKENS)


@dataclass
class Heard:
    """What a client hears."""

    tokens: list[int] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)
    failure: Failed | None = None

    def take(self, event: TokenEvent | Failed) -> None:
        if isinstance(event, Failed):
            self.failure = event
            self.is_over.set()
            return
        self.tokens.append(event.token_id)
        if event.is_last:
            self.is_over.set()


SLOW = [
    pytest.param(shape, marks=pytest.mark.slow) for shape in ("fair, one stage", "mlfq, router")
]


@pytest.fixture(params=["mlfq, two stages", "srpt, one stage", *SLOW])
def core(request: pytest.FixtureRequest, austen: Path, austen_model: Model) -> Iterator[EngineCore]:
    name, shape = request.param.split(", ")
    plan = make_plan(
        austen_model,
        LAYERS.get(shape, LAYERS["two stages"]),
        kv_tokens=150,
        step_limits=StepLimits(tokens=32, decodes=2),
    )
    plan = without_way_back(plan) if shape == "router" else plan
    queue: QueueName = name
    with running_in_threads(plan, austen, Queueing(queue, OFTEN)) as running:
        yield running


def test_tokens_are_those_of_transformers_whatever_happens_to_others(
    core: EngineCore, continuations: list[Continuation]
) -> None:
    makes_way = isinstance(core._engine, QueuedEngine) and core._engine._queue.may_stop
    # How many requests meet depends on the machine: on a quick one none may have to make way.
    for seed in range(5, 15):
        load(core, continuations, random.Random(seed))
        if not makes_way or core.snapshot().swaps > 0:
            return
    raise AssertionError("no request made way for another")


def load(core: EngineCore, continuations: list[Continuation], dice: random.Random) -> None:
    """Send requests and cancel some of them; whatever is heard of any must be right."""
    heard = [Heard() for _ in range(2 * len(continuations))]
    tickets = []
    for number, client in enumerate(heard):
        asked = continuations[number % len(continuations)]
        size = dice.choice([2, 6, NUM_TOKENS])
        request = Request(asked.prompt_ids, size, client=f"c{number % 3}")
        tickets.append((core.submit(request, client.take), size, asked))
        if dice.random() < 0.3:
            dice.choice(heard[: number + 1]).is_over.wait(0.05)
        if dice.random() < 0.15:
            dice.choice(tickets)[0].cancel("nobody wants it")
    for client, (_, size, asked) in zip(heard, tickets, strict=True):
        assert client.is_over.wait(60)
        whole = list(asked.token_ids[:size])
        if client.failure is None:
            assert client.tokens == whole
        else:
            assert client.tokens == whole[: len(client.tokens)]
            assert "nobody wants it" in str(client.failure.error)
    assert wait_until(lambda: is_empty(core), 20)
