"""The engine against an imagined pipeline that echoes what it gets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.runtime_plans import make_plan

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, passed, sampled
from hexplan_runtime.engine.engine import Engine, Turn
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.request import Logprobs, Request, Sampling, TokenEvent

STOP = 3


@pytest.fixture
def engine(llama_model: Model) -> Engine:
    return Engine(
        make_plan(
            llama_model,
            [((0, 2), (1,)), ((2, 4), (1,)), ((0, 4), (1,))],
            [([0, 1], 50), ([2], 50)],
            kv_tokens=64,
            step_limits=StepLimits(tokens=24, decodes=8),
        )
    )


def echo(parcels: list[EntryRow], token: int) -> Batch:
    """Return what the last stage says if each sampled token is this one."""
    rows = [parcel.row for parcel in parcels]
    drawn = [sampled(row) for row in rows if row.samples]
    said = [passed(row) for row in rows if row.tokens and not row.samples]
    closing = [row for row in rows if row.closes]
    ids = torch.full((len(drawn),), token) if drawn else None
    return Batch((*drawn, *said, *closing), ids)


def sent(turn: Turn) -> list[EntryRow]:
    return [row for batch in turn.batches() for row in batch] + turn.prompts


def admit(engine: Engine, ticket: int, request: Request) -> list[EntryRow]:
    engine.enqueue(ticket, request)
    parcels = engine.admit().prompts
    assert parcels
    return parcels


def play(engine: Engine, parcels: list[EntryRow], tokens: list[int]) -> list[TokenEvent]:
    """Feed tokens back until none is left, and then what closes the requests."""
    events = []
    for token in tokens:
        turn = engine.receive(echo(parcels, token))
        parcels = sent(turn)
        events += turn.events
    engine.receive(echo(parcels, token=0))
    return events


def test_a_request_ends_at_its_length(engine: Engine) -> None:
    events = play(engine, admit(engine, 4, Request((1, 2), 3)), [10, 11, 12])
    assert events == [
        TokenEvent(4, 10, False, None),
        TokenEvent(4, 11, False, None),
        TokenEvent(4, 12, True, "length"),
    ]


def test_a_request_ends_at_a_stop_token(engine: Engine) -> None:
    parcels = admit(engine, 0, Request((1, 2), 30, stop_ids=(STOP,)))
    events = play(engine, parcels, [10, STOP])
    assert events[-1] == TokenEvent(0, STOP, True, "stop")


def test_each_step_sends_the_last_token_at_the_next_position(engine: Engine) -> None:
    (prompt,) = admit(engine, 0, Request((1, 2, 5), 3))
    assert (prompt.row.position, prompt.row.tokens, prompt.row.samples) == (0, 3, True)
    (step,) = sent(engine.receive(echo([prompt], 10)))
    assert (step.token_ids, step.row.position) == ((10,), 3)
    (step,) = sent(engine.receive(echo([step], 11)))
    assert (step.token_ids, step.row.position) == ((11,), 4)


def test_what_is_told_of_a_prompt_has_the_order_of_its_tokens(engine: Engine) -> None:
    """The piece that samples stands first in the news, whatever came with it."""
    request = Request(tuple(range(24)), 3, Sampling(prompt_logprobs=0))
    parcels = admit(engine, 0, request)
    assert len(parcels) == 2
    said = echo(parcels, 10)
    told = tuple(
        tuple(Logprobs(-float(at), ()) for at in range(end - some, min(end, 23)))
        for end, some in [(24, parcels[1].row.tokens), (parcels[1].row.position,) * 2]
    )
    (event,) = engine.receive(replace(said, prompt_logprobs=told)).events
    assert [one.chosen for one in event.prompt_logprobs] == [-float(at) for at in range(23)]


def test_a_long_prompt_goes_in_pieces_of_which_the_last_samples(engine: Engine) -> None:
    ids = tuple(range(40))
    parcels = admit(engine, 0, Request(ids, 3))
    assert [parcel.row.position for parcel in parcels] == [0, 16, 32]
    assert [parcel.row.samples for parcel in parcels] == [False, False, True]
    assert sum((parcel.token_ids for parcel in parcels), ()) == ids


@pytest.mark.parametrize(
    ("tokens", "decodes", "longest"),
    [
        (24, 8, 16),  # what a step's decodes leave
        (20, 15, 5),  # the fourth that belongs to prompts
        (64, 1, 40),  # the whole prompt
        (1, 1, 1),  # a token at least
    ],
)
def test_a_piece_of_a_prompt_fits_beside_a_steps_decodes(
    llama_model: Model, tokens: int, decodes: int, longest: int
) -> None:
    limits = StepLimits(tokens=tokens, decodes=decodes)
    plan = make_plan(llama_model, [((0, 4), (1,))], kv_tokens=64, step_limits=limits)
    parcels = admit(Engine(plan), 0, Request(tuple(range(40)), 3))
    assert max(parcel.row.tokens for parcel in parcels) == longest


def test_only_what_was_drawn_counts_as_decoded(engine: Engine) -> None:
    parcels = admit(engine, 0, Request(tuple(range(17)), 3))
    assert [(p.row.tokens, p.row.decodes) for p in parcels] == [(16, False), (1, False)]
    (step,) = sent(engine.receive(echo(parcels, 10)))
    assert (step.row.tokens, step.row.decodes) == (1, True)


def test_requests_wait_when_no_route_has_room(engine: Engine) -> None:
    request = Request((1,) * 60, 4)
    first, second = (admit(engine, ticket, request) for ticket in (0, 1))
    assert {first[0].stage, second[0].stage} == {"s0", "s2"}
    engine.enqueue(2, request)
    assert sent(engine.admit()) == []
    play(engine, first, [7] * 4)
    assert [row.row.request for row in sent(engine.admit())] == [2] * 4


def test_room_is_given_back_only_when_every_stage_has_heard_of_the_end(engine: Engine) -> None:
    wide = Request((1,) * 60, 4)
    for ticket in (0, 1):
        admit(engine, ticket, wide)
    closing = sent(engine.cancel([0, 1]))
    engine.enqueue(2, wide)
    assert sent(engine.admit()) == []
    engine.receive(echo(closing, 0))
    assert sent(engine.admit())


def test_tokens_of_cancelled_requests_are_not_told(engine: Engine) -> None:
    parcels = admit(engine, 0, Request((1,), 5))
    closing = sent(engine.cancel([0]))
    for late in (parcels, closing):
        turn = engine.receive(echo(late, 9))
        assert (turn.events, sent(turn)) == ([], [])
    assert sent(engine.cancel([0])) == []


def test_tokens_are_counted_on_each_edge_of_their_route(engine: Engine) -> None:
    play(engine, admit(engine, 0, Request((1, 2, 5), 3)), [7, 7, 7])
    play(engine, admit(engine, 1, Request((1,), 2)), [7, 7])
    count = {(edge.source, edge.target): edge.tokens for edge in engine.edge_tokens()}
    long_way, short_way = 3 + 2, 1 + 1  # the last token of a request is not sent in again
    assert count == {
        ("entry", "s0"): long_way,
        ("s0", "s1"): long_way,
        ("s1", "exit"): long_way,
        ("entry", "s2"): short_way,
        ("s2", "exit"): short_way,
    }


def test_requests_go_in_as_many_groups_as_there_are_stages_in_a_row(engine: Engine) -> None:
    for index in range(6):
        admit(engine, index, Request((1,), 1))
    assert engine.limits.rows == 3
    assert engine.limits.tokens == 24


def test_a_group_has_no_more_requests_than_a_step_decodes(engine: Engine) -> None:
    for index in range(20):
        admit(engine, index, Request((1,), 1))
    assert engine.limits.rows == 8


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request((1, 256), 3), "request 2: prompt token 256, must be >= 0 and < 256"),
        (Request((-1,), 3), "request 2: prompt token -1"),
        (Request((1,) * 60, 5), r"60 prompt \+ 5 new = 65 tokens of KV cache; .* 64"),
        (Request((1,) * 500, 13), r"500 prompt \+ 13 new = 513 tokens; llama was made for 512"),
    ],
)
def test_a_request_that_can_never_run_is_refused(
    engine: Engine, request_: Request, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        engine.check("request 2", request_)
