"""The engine with a queue against an imagined stage: who is let in, parked, moved out and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.runtime_plans import bare_model, make_plan

from hexplan.schedule.queueing.params import Queueing
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, Row, sampled
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.engine.queueing.queued_engine import QueuedEngine
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import Request

LONG, SHORT = Request(tuple(range(8)), 40), Request(tuple(range(40)), 4)


@pytest.fixture
def engine() -> QueuedEngine:
    """Give the engine of one stage with room for 64 tokens, whose clock stands still."""
    plan = make_plan(
        bare_model(layers=4),
        [((0, 4), (1,))],
        kv_tokens=64,
        step_limits=StepLimits(tokens=64, decodes=8),
    )
    engine = QueuedEngine(plan, Queueing("srpt"), lambda: 0.0)
    engine.reuses_prefixes = False
    return engine


def rows_of(turn: Turn) -> list[Row]:
    sent: list[EntryRow] = [row for batch in turn.batches() for row in batch] + turn.prompts
    return [one.row for one in sent]


def run(engine: QueuedEngine, rows: list[Row]) -> list[Row]:
    """Let the stage run rows, and return what the router sends then."""
    drawn = [sampled(row) for row in rows if row.samples]
    rest = [row for row in rows if not row.samples]
    ids = torch.full((len(drawn),), 9) if drawn else None
    turn = engine.receive(Batch((*drawn, *rest), ids))
    return rows_of(turn) + rows_of(engine.admit())


def begin(engine: QueuedEngine, ticket: int, request: Request) -> list[Row]:
    engine.enqueue(ticket, request)
    return rows_of(engine.admit())


def stop_the_long_one(engine: QueuedEngine) -> list[Row]:
    """Bring the engine to where the long request's KV is away, and return what was sent last."""
    assert run(engine, begin(engine, 0, LONG)) == []
    (stow,) = begin(engine, 1, SHORT)
    assert (stow.request, stow.stows) == (0, True)
    sent = run(engine, [replace(stow, position=8)])
    assert (engine.counts.swaps, engine.counts.swapped) == (1, 1)
    return sent


def test_a_long_request_makes_way_for_a_short_one_and_comes_back(engine: QueuedEngine) -> None:
    prompt = stop_the_long_one(engine)
    assert {row.request for row in prompt} == {1}
    (before,) = engine.kv()
    assert before.swapped_tokens > 0
    run(engine, prompt)
    for position in range(41, 43):
        run(engine, [Row(1, 0, position, 1, 44, prompt[0].sampling, samples=True, decodes=True)])
    last = replace(prompt[0], position=43, tokens=1, samples=True, decodes=True)
    sent = run(engine, [last])
    ends = [replace(last, position=0, tokens=0, samples=False, closes=True, decodes=False)]
    sent += run(engine, ends)
    assert [(row.request, row.fetches, row.parks) for row in sent] == [(0, True, False)]
    (after,) = engine.kv()
    assert (after.swapped_tokens, engine.counts.swapped) == (0, 0)
    assert after.held_tokens >= 9


def test_a_request_that_is_cancelled_in_host_memory_frees_it(engine: QueuedEngine) -> None:
    stop_the_long_one(engine)
    (end,) = rows_of(engine.cancel([0]))
    assert (end.request, end.closes) == (0, True)
    run(engine, [end])
    assert engine.kv()[0].swapped_tokens == 0
    assert engine.running == 1


def test_what_is_in_host_memory_of_a_lost_stage_starts_over(engine: QueuedEngine) -> None:
    stop_the_long_one(engine)
    engine.lose([0])
    assert sorted(engine.waiting_tickets()) == [0, 1]
    engine.renewed(1)
    (kv,) = engine.kv()
    assert (kv.held_tokens, kv.swapped_tokens, engine.counts.swapped) == (0, 0, 0)
