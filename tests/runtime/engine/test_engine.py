"""The engine against an imagined pipeline that echoes what it gets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.runtime_plans import make_plan, without_way_back

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, Prefix, Row, passed, sampled, whole_blocks
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import Logprobs, Request, Sampling, TokenEvent

STOP = 3


@pytest.fixture
def engine(llama_model: Model) -> Engine:
    engine = Engine(
        make_plan(
            llama_model,
            [((0, 2), (1,)), ((2, 4), (1,)), ((0, 4), (1,))],
            [([0, 1], 50), ([2], 50)],
            kv_tokens=64,
            step_limits=StepLimits(tokens=24, decodes=8),
        )
    )
    engine.reuses_prefixes = False
    return engine


def echo(parcels: list[EntryRow], token: int) -> Batch:
    """Return what the last stage says if each sampled token is this one."""
    return echo_rows([parcel.row for parcel in parcels], token)


def echo_rows(rows: list[Row], token: int) -> Batch:
    drawn = [sampled(row) for row in rows if row.samples]
    said = [passed(row) for row in rows if row.tokens and not row.samples]
    closing = [row for row in rows if row.closes]
    ids = torch.full((len(drawn),), token) if drawn else None
    return Batch((*drawn, *said, *closing), ids)


def come_back(said: Batch, token: int) -> list[Row]:
    """Return what the stages run next by themselves: the tokens that they drew, or ends."""
    rows = [row for row in said.rows if row.tokens]
    over = [row.end_rule.reason(token, row.position + 1) is not None for row in rows]
    return [
        replace(
            row, position=whole_blocks(row.position) * row.end_rule.keeps, tokens=0, closes=True
        )
        if is_over
        else replace(row, samples=True)
        for row, is_over in zip(rows, over, strict=True)
    ]


def sent(turn: Turn) -> list[EntryRow]:
    return [row for batch in turn.batches() for row in batch] + turn.prompts


def admit(engine: Engine, ticket: int, request: Request) -> list[EntryRow]:
    engine.enqueue(ticket, request)
    parcels = engine.admit().prompts
    assert parcels
    return parcels


def play(engine: Engine, parcels: list[EntryRow], tokens: list[int]) -> list[TokenEvent]:
    """Draw tokens until none is left, and then pass what closes the requests."""
    events = []
    rows = [parcel.row for parcel in parcels]
    for token in tokens:
        said = echo_rows(rows, token)
        turn = engine.receive(said)
        rows = [*come_back(said, token), *(parcel.row for parcel in sent(turn))]
        events += turn.events
    engine.receive(echo_rows(rows, token=0))
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


def test_without_a_way_back_each_step_sends_the_last_token_at_the_next_position(
    llama_model: Model,
) -> None:
    engine = Engine(without_way_back(make_plan(llama_model, [((0, 2), (1,)), ((2, 4), (1,))])))
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


def test_tokens_go_on_by_themselves_and_the_engine_tells_them_of_room_ahead(
    engine: Engine,
) -> None:
    """A prompt of 2 tokens, and the 16 that are expected: room for tokens 0 to 17."""
    rows = [parcel.row for parcel in admit(engine, 0, Request((1, 2), 40))]
    told: list[tuple[int, int]] = []
    for _ in range(40):
        said = echo_rows(rows, 10)
        parcels = sent(engine.receive(said))
        assert not any(parcel.row.tokens or parcel.row.closes for parcel in parcels)
        told += [(said.rows[0].position, parcel.row.context_tokens) for parcel in parcels]
        rows = come_back(said, 10)
    assert told == [(14, 34), (30, 42)]
    assert [row.closes for row in rows] == [True]


def test_a_request_that_ends_twice_gives_its_room_back_once(engine: Engine) -> None:
    """It is cancelled while the news of its last token is on its way."""
    parcels = admit(engine, 0, Request((1, 2), 1))
    closing = sent(engine.cancel([0]))
    last = echo(parcels, 10)
    assert sent(engine.receive(last)) == []
    engine.receive(echo_rows(come_back(last, 10), 0))
    assert [stage.held_tokens for stage in engine.kv()] == [0, 0, 0]
    engine.receive(echo(closing, 0))
    assert [stage.held_tokens for stage in engine.kv()] == [0, 0, 0]


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
    count = {(edge.source, edge.target): edge.tokens for edge in engine.counts.by_edge()}
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


def one_stage(model: Model, kv_tokens: int) -> Engine:
    return Engine(make_plan(model, [((0, 4), (1,))], kv_tokens=kv_tokens))


def test_a_prompt_begins_after_what_another_left(llama_model: Model) -> None:
    engine = one_stage(llama_model, kv_tokens=128)
    first = tuple(range(33))
    play(engine, admit(engine, 0, Request(first, 2)), [7, 7])
    (kv,) = engine.kv()
    assert (kv.held_tokens, kv.kept_tokens, kv.hit_tokens) == (0, 32, 0)
    (piece,) = admit(engine, 1, Request((*first[:32], 99, 98), 2))
    assert (piece.row.position, piece.row.tokens, piece.row.samples) == (32, 2, True)
    assert piece.row.prefix == Prefix(32, sources=(0,))
    (other,) = admit(engine, 2, Request((*first[:20], 99), 2))
    assert other.row.prefix == Prefix(16, sources=(0,))
    (kv,) = engine.kv()
    assert (kv.held_tokens, kv.kept_tokens, kv.hit_tokens) == (36 + 23, 32, 48)


def test_a_prompt_that_runs_can_be_begun_with_and_stays_if_it_is_cancelled(
    llama_model: Model,
) -> None:
    """As long as somebody is about to copy it."""
    engine = one_stage(llama_model, kv_tokens=256)
    prompt = tuple(range(40))
    parcels = admit(engine, 0, Request(prompt, 20))
    engine.receive(echo(parcels, 7))
    reading = admit(engine, 1, Request((*prompt, 5), 1))
    assert reading[0].row.prefix == Prefix(32, sources=(0,))
    (closing,) = sent(engine.cancel([0]))
    assert (closing.row.closes, closing.row.position) == (True, 32)
    engine.receive(echo([closing], 0))
    assert [kv.kept_tokens for kv in engine.kv()] == [32]
    engine.receive(echo(reading, 7))
    (piece,) = admit(engine, 2, Request((*prompt, 6), 1))
    assert piece.row.prefix.tokens == 32
    (closing,) = sent(engine.cancel([2]))
    assert closing.row.position == 0


def test_who_gets_the_room_of_what_is_left_waits_until_it_is_gone(llama_model: Model) -> None:
    engine = one_stage(llama_model, kv_tokens=64)
    play(engine, admit(engine, 0, Request((1,) * 60, 4)), [7] * 4)
    assert [kv.kept_tokens for kv in engine.kv()] == [48]
    engine.enqueue(1, Request((2,) * 60, 4))
    turn = engine.admit()
    assert turn.prompts == []
    (going,) = sent(turn)
    assert (going.row.request, going.row.closes, going.row.position) == (0, True, 0)
    begun = engine.receive(echo([going], 0)).prompts
    assert [row.row.request for row in begun] == [1]
    assert [kv.kept_tokens for kv in engine.kv()] == [0]


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
