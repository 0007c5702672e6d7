"""Stages that are lost, as the engine alone sees it: what starts over, and whose room is free."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.runtime_plans import bare_model, make_plan

from hexplan_runtime.batch import Batch, sampled
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.engine.replay import MOST_REPLAYS
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import Request

PROMPT = (1, 2, 5)
STAGES = [((0, 2), (1,)), ((2, 4), (1,)), ((2, 4), (1,))]
ROUTES = [((0, 1), 50), ((0, 2), 50)]


@pytest.fixture
def engine() -> Engine:
    return new_engine()


def new_engine() -> Engine:
    return Engine(make_plan(bare_model(4), STAGES, ROUTES, kv_tokens=64))


def entered(turn: Turn) -> list[EntryRow]:
    """Return the prompts that a turn sends."""
    return [row for row in turn.prompts if row.row.tokens]


def drawn(engine: Engine, row: EntryRow, token: int) -> Turn:
    """Let the last stage draw a token after a row."""
    return engine.receive(Batch((sampled(row.row),), torch.tensor([token])))


def enter(engine: Engine, *requests: Request) -> list[EntryRow]:
    for ticket, request in enumerate(requests):
        engine.enqueue(ticket, request)
    return entered(engine.admit())


def test_a_lost_route_starts_over_from_what_the_caller_has(engine: Engine) -> None:
    rows = enter(engine, Request(PROMPT, 8), Request(PROMPT, 8))
    assert [row.row.route for row in rows] == [0, 1]
    drawn(engine, rows[0], 9)
    loss = engine.lose({1})
    assert [flight.id for flight in loss.flights] == [rows[0].row.request]
    (again,) = entered(engine.admit())
    assert (again.row.route, again.token_ids) == (1, (*PROMPT, 9))
    assert again.row.request >= loss.renewal.floors[0] > rows[0].row.request
    assert loss.renewal.floors[1] == 0
    # What still comes of the first one is of nobody.
    assert not drawn(engine, rows[0], 10).events
    (event,) = drawn(engine, again, 10).events
    assert (event.request_index, event.token_id) == (0, 10)


def test_room_is_free_only_once_the_stages_that_are_left_have_let_go(engine: Engine) -> None:
    enter(engine, Request(PROMPT, 8))
    held = engine.kv()[0].held_tokens
    loss = engine.lose({1})
    assert engine.kv()[0].held_tokens == held
    engine.renewed(loss.renewal.number)
    assert [stage.held_tokens for stage in engine.kv()] == [0, 0, 0]


def test_requests_wait_while_every_route_is_lost(engine: Engine) -> None:
    (row,) = enter(engine, Request(PROMPT, 8))
    loss = engine.lose({0})
    assert engine.replays.masking.is_shut
    assert not entered(engine.admit())
    engine.replays.masking.come_back(0)
    assert not engine.replays.to_probe()
    engine.renewed(loss.renewal.number)
    assert engine.replays.to_probe() == {0, 1}
    engine.replays.prove(1)
    (again,) = entered(engine.admit())
    assert (again.row.route, again.token_ids) == (1, row.token_ids)


def test_a_route_that_is_lost_again_is_not_opened_by_an_old_probe(engine: Engine) -> None:
    number = engine.lose({1}).renewal.number
    engine.replays.masking.come_back(1)
    engine.renewed(number)
    engine.lose({1})
    engine.replays.prove(0)
    assert engine.replays.masking.masked == {0}
    assert engine.replays.masking.generations == [0, 2, 0]


def test_a_request_that_asks_for_the_lost_route_does_not_start_over(engine: Engine) -> None:
    enter(engine, Request(PROMPT, 8, route=0), Request(PROMPT, 60, route=0))
    assert set(engine.lose({1}).cut) == {0, 1}
    assert not entered(engine.admit())


def test_a_request_that_is_lost_too_often_is_given_up(engine: Engine) -> None:
    enter(engine, Request(PROMPT, 8))
    for number in range(1, MOST_REPLAYS + 1):
        assert not engine.lose({0}).cut
        engine.replays.masking.come_back(0)
        engine.renewed(number)
        for route in (0, 1):
            engine.replays.prove(route)
        assert entered(engine.admit())
    assert engine.lose({0}).cut == (0,)


def test_who_waits_for_a_lost_route_holds_up_nobody_else() -> None:
    plan = make_plan(bare_model(4), [((0, 4), (1,)), ((0, 4), (1,))], [((0,), 50), ((1,), 50)])
    small = plan.stages[1].model_copy(update={"kv_tokens": 32})
    engine = Engine(plan.model_copy(update={"stages": (plan.stages[0], small)}))
    engine.lose({0})
    rows = enter(engine, Request(PROMPT, 100), Request(PROMPT, 8))
    assert [(row.row.route, row.row.context_tokens < 32) for row in rows] == [(1, True)]
    assert engine.waiting_tickets() == [0]


class Play:
    """An engine whose last stages draw tokens when they are told to, and what its callers get."""

    def __init__(self) -> None:
        self.engine = new_engine()
        self.got: list[list[int]] = []
        self._flying: dict[int, EntryRow] = {}
        self._number = 0

    def act(self, what: str, value: int) -> None:
        getattr(self, what)(value)
        self._note(self.engine.admit())

    def enter(self, _: int) -> None:
        self.engine.enqueue(len(self.got), Request(PROMPT, 6))
        self.got.append([])

    def draw(self, value: int) -> None:
        """Draw a token after some row, which may be of a request that was lost."""
        if self._flying:
            request = sorted(self._flying)[value % len(self._flying)]
            row = self._flying.pop(request)
            self._note(drawn(self.engine, row, (row.row.position + row.row.tokens) % 16))

    def lose(self, value: int) -> None:
        self._number = self.engine.lose({value % 3}).renewal.number

    def heal(self, _: int) -> None:
        for stage in range(3):
            self.engine.replays.masking.come_back(stage)
        self.engine.renewed(self._number)
        for route in self.engine.replays.to_probe():
            self.engine.replays.prove(route)

    def _note(self, turn: Turn) -> None:
        self._flying.update({row.row.request: row for row in entered(turn)})
        for event in turn.events:
            self.got[event.request_index].append(event.token_id)


ACTS = st.tuples(st.sampled_from(["enter", "draw", "lose", "heal"]), st.integers(0, 99))


@given(st.lists(ACTS))
def test_every_request_gets_its_tokens_once_and_in_order(acts: list[tuple[str, int]]) -> None:
    """Whatever is lost when, a request that gets tokens gets those of its positions, each once."""
    play = Play()
    for what, value in acts:
        play.act(what, value)
    for tokens in play.got:
        assert tokens == [(len(PROMPT) + n) % 16 for n in range(len(tokens))]
