from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexplan.errors import HexplanError
from hexplan_runtime.batch import MAX_ROWS, NOTHING, Batch, Prefix, Row
from hexplan_runtime.net.wire import (
    FRAME_BYTES,
    Decoder,
    Encoder,
    Envelope,
    WireFormat,
    new_frame,
    num_bytes,
)
from hexplan_runtime.request import (
    ENDLESS,
    SEED_LIMIT,
    EndRule,
    History,
    Logprobs,
    Penalties,
    Sampling,
    TokenBias,
    TokenLogprob,
)

WIRE_FORMAT = WireFormat(launch=2**59 + 1, hidden=5, dtype=torch.bfloat16)
COUNT = st.integers(0, 2**62)

ids = st.lists(st.integers(0, 2**31), max_size=9).map(tuple)
steering = st.fixed_dictionaries(
    {
        "penalties": st.builds(
            Penalties,
            repetition=st.floats(0, 99, exclude_min=True),
            presence=st.floats(-2, 2),
            frequency=st.floats(-2, 2),
        ),
        "biases": st.lists(
            st.builds(TokenBias, token_id=st.integers(0, 2**31), bias=st.floats(-100, 100)),
            max_size=5,
        ).map(tuple),
        "grammar": st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        "prompt_logprobs": st.none() | st.integers(0, 20),
        "history": st.none() | st.builds(History, ids=ids, num_prompt=st.integers(0, 9)),
    }
)
samplings = st.builds(
    Sampling,
    temperature=st.floats(0, 10),
    top_k=st.integers(0, 1000),
    top_p=st.floats(0, 1, exclude_min=True),
    seed=st.integers(0, SEED_LIMIT - 1),
    min_p=st.just(0.0) | st.floats(0, 1),
    barred_ids=st.just(()) | st.lists(st.integers(0, 2**63 - 1), max_size=9).map(tuple),
    barred_until=st.integers(0, 2**62),
    top_logprobs=st.none() | st.integers(0, 20),
)
steered = st.builds(lambda sampling, more: replace(sampling, **more), samplings, steering)
rows = st.builds(
    Row,
    request=st.integers(0, 3) | COUNT,
    route=st.integers(0, 1) | COUNT,
    position=COUNT,
    tokens=st.integers(0, 40),
    context_tokens=COUNT,
    sampling=st.just(Sampling()) | samplings | steered,
    samples=st.booleans(),
    closes=st.booleans(),
    decodes=st.booleans(),
    parks=st.booleans(),
    stows=st.booleans(),
    fetches=st.booleans(),
    end_rule=st.just(ENDLESS)
    | st.builds(
        EndRule,
        most_tokens=COUNT,
        stop_ids=st.just(()) | st.lists(st.integers(0, 2**63 - 1), max_size=9).map(tuple),
        keeps=st.booleans(),
    ),
    prefix=st.just(NOTHING)
    | st.builds(
        Prefix,
        tokens=st.integers(1, 2**62),
        sources=st.lists(COUNT, min_size=1, max_size=5).map(tuple),
    ),
)


def as_batch(rows: list[Row], ids_rows: int) -> Batch:
    ids = sum(row.tokens for row in rows[:ids_rows])
    hidden = sum(row.tokens for row in rows[ids_rows:])
    return Batch(
        tuple(rows),
        torch.arange(ids) if ids else None,
        torch.randn(hidden, WIRE_FORMAT.hidden).to(WIRE_FORMAT.dtype) if hidden else None,
    )


def pack(batch: Batch, wire_format: WireFormat) -> list[torch.Tensor]:
    """Pack for somebody who has heard nothing before."""
    return Encoder(wire_format).pack(batch)


def unpack(frame: torch.Tensor, wire_format: WireFormat) -> Envelope:
    """Unpack without having heard anything before."""
    return Decoder(wire_format).unpack(frame)


def carry(batch: Batch) -> Batch:
    """Carry a batch over as gloo would: into a frame that has room for more."""
    first, *others = pack(batch, WIRE_FORMAT)
    frame = new_frame()
    frame[: len(first)] = first
    return received(Decoder(WIRE_FORMAT), frame, others)


def received(decoder: Decoder, frame: torch.Tensor, others: list[torch.Tensor]) -> Batch:
    envelope = decoder.unpack(frame)
    assert envelope.is_complete == (not others)
    for room, part in zip(envelope.parts, others, strict=bool(others)):
        room.copy_(part)
    return decoder.complete(envelope, envelope.parts)


def same(left: torch.Tensor | None, right: torch.Tensor | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.dtype == right.dtype and torch.equal(left, right)


@given(st.lists(rows, max_size=MAX_ROWS), st.integers(0, MAX_ROWS))
def test_a_batch_arrives_as_it_was_sent(rows: list[Row], ids_rows: int) -> None:
    batch = as_batch(rows, ids_rows)
    arrived = carry(batch)
    assert arrived.rows == batch.rows
    assert same(arrived.token_ids, batch.token_ids)
    assert same(arrived.hidden, batch.hidden)


ROW = Row(1, 0, 0, 1, 8, Sampling())


@pytest.mark.parametrize(
    ("tokens", "num_messages"),
    [
        (6541, 1),  # 40 + 32 + 48 + 6541 x 10 = 65530 bytes
        (6542, 2),  # 65540 bytes, more than the 65536 of a frame
        (20000, 2),
    ],
)
def test_a_payload_larger_than_a_frame_goes_after_it(tokens: int, num_messages: int) -> None:
    batch = as_batch([replace(ROW, tokens=tokens)], 0)
    messages = pack(batch, WIRE_FORMAT)
    assert len(messages[0]) <= FRAME_BYTES
    assert len(messages) == num_messages
    assert same(carry(batch).hidden, batch.hidden)


def test_a_message_of_another_launch_is_refused() -> None:
    frame = pack(as_batch([ROW], 1), replace(WIRE_FORMAT, launch=7))[0]
    with pytest.raises(HexplanError, match="does not belong to this launch"):
        unpack(frame, WIRE_FORMAT)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (2, MAX_ROWS + 1),  # more rows than a frame has room for
        (2, -1),  # fewer than none
        (3, 2),  # more token ids than its rows have tokens
        (3, -1),  # fewer than none
        (4, 1),  # activations that no row owns
    ],
)
def test_a_frame_that_contradicts_itself_is_refused(word: int, value: int) -> None:
    frame = new_frame()
    sent = pack(as_batch([ROW], 1), WIRE_FORMAT)[0]
    frame[: len(sent)] = sent
    frame.view(torch.int64)[word] = value
    with pytest.raises(HexplanError, match="a message arrived"):
        unpack(frame, WIRE_FORMAT)


def test_a_frame_has_room_for_the_most_rows_and_their_token_ids() -> None:
    (message,) = pack(as_batch([ROW] * MAX_ROWS, MAX_ROWS), WIRE_FORMAT)
    assert len(message) <= FRAME_BYTES


def test_more_rows_than_a_frame_has_room_for_are_refused() -> None:
    with pytest.raises(HexplanError, match="513 rows; at most 512"):
        pack(as_batch([ROW] * (MAX_ROWS + 1), MAX_ROWS + 1), WIRE_FORMAT)


@given(st.lists(st.lists(rows, max_size=6), max_size=6))
def test_batches_of_one_edge_arrive_as_they_were_sent(batches: list[list[Row]]) -> None:
    """Some rows are of the same request, with the same terms or others, before its end or after."""
    near, far = Encoder(WIRE_FORMAT), Decoder(WIRE_FORMAT)
    for sent in batches:
        first, *others = near.pack(as_batch(sent, len(sent)))
        frame = new_frame()
        frame[: len(first)] = first
        assert received(far, frame, others).rows == tuple(sent)


def test_what_stays_the_same_is_sent_once_for_each_request() -> None:
    near = Encoder(WIRE_FORMAT)
    end = replace(ROW, tokens=0, closes=True)
    sizes = [len(near.pack(as_batch([row], 1))[0]) for row in (ROW, ROW, end, ROW)]
    assert sizes == [40 + 32 + 48 + 8, 40 + 32 + 8, 40 + 32, 40 + 32 + 48 + 8]


def test_more_than_the_terms_is_sent_by_those_who_ask_it_and_once() -> None:
    near = Encoder(WIRE_FORMAT)
    asks = replace(ROW, sampling=Sampling(barred_ids=(7, 8), barred_until=12))
    sizes = [len(near.pack(as_batch([row], 1))[0]) for row in (asks, asks)]
    assert sizes == [40 + 32 + 48 + (12 + 2) * 8 + 8, 40 + 32 + 8]


def test_stop_ids_are_sent_once_and_by_those_who_have_some() -> None:
    near = Encoder(WIRE_FORMAT)
    stops = replace(ROW, end_rule=EndRule(30, stop_ids=(2, 3)))
    sizes = [len(near.pack(as_batch([row], 1))[0]) for row in (stops, stops)]
    assert sizes == [40 + 32 + 48 + (1 + 2) * 8 + 8, 40 + 32 + 8]


def test_frames_of_an_epoch_that_is_over_say_nothing() -> None:
    """A later epoch begins with nothing known at either end."""
    near, far = Encoder(WIRE_FORMAT), Decoder(WIRE_FORMAT)
    old = [near.pack(as_batch([ROW], 1))[0] for _ in range(2)]
    assert far.unpack(old[0]).rows == (ROW,)
    near.begin_epoch(1)
    new = [near.pack(as_batch([ROW], 1))[0] for _ in range(2)]
    assert len(new[0]) == len(old[0])
    assert far.unpack(new[0]).rows == (ROW,)
    late = far.unpack(old[1])
    assert (late.is_old, late.rows) == (True, ())
    assert far.unpack(new[1]).rows == (ROW,)


def test_a_receiver_that_began_an_epoch_drops_what_comes_of_the_last() -> None:
    near, far = Encoder(WIRE_FORMAT), Decoder(WIRE_FORMAT)
    far.begin_epoch(2)
    assert far.unpack(near.pack(as_batch([ROW], 1))[0]).is_old
    near.begin_epoch(2)
    assert not far.unpack(near.pack(as_batch([ROW], 1))[0]).is_old


logprobs = st.floats(max_value=0, width=32)
told = st.builds(
    Logprobs,
    chosen=logprobs,
    likeliest=st.lists(
        st.builds(TokenLogprob, token_id=st.integers(0, 2**32 - 1), logprob=logprobs), max_size=20
    ).map(tuple),
)


of_prompts = st.just(()) | st.lists(
    st.builds(lambda one, rank: replace(one, rank=rank), told, st.integers(1, 2**32 - 1)),
    max_size=5,
).map(tuple)


@given(st.lists(st.tuples(rows, of_prompts), max_size=8))
def test_what_is_told_of_prompts_arrives_beside_their_rows(
    made: list[tuple[Row, tuple[Logprobs, ...]]],
) -> None:
    batch = as_batch([row for row, _ in made], len(made))
    sent = tuple(one for _, one in made) if any(one for _, one in made) else ()
    arrived = carry(replace(batch, prompt_logprobs=sent))
    assert arrived.rows == batch.rows
    assert arrived.prompt_logprobs == sent
    assert arrived.logprobs == ()
    assert same(arrived.token_ids, batch.token_ids)


@given(st.lists(st.tuples(rows, st.none() | told), max_size=8))
def test_what_is_told_of_tokens_arrives_beside_them(
    made: list[tuple[Row, Logprobs | None]],
) -> None:
    batch = as_batch([row for row, _ in made], len(made))
    sent = tuple(one for _, one in made) if any(one for _, one in made) else ()
    batch = replace(batch, logprobs=sent)
    arrived = carry(batch)
    assert arrived.rows == batch.rows
    assert arrived.logprobs == sent
    assert same(arrived.token_ids, batch.token_ids)


def test_nothing_more_is_sent_where_nobody_asks_for_logprobs() -> None:
    batch = as_batch([replace(ROW, request=one) for one in range(2)], 2)
    told = Logprobs(-1.0, (TokenLogprob(5, -1.0), TokenLogprob(6, -2.0)))
    sizes = [
        len(pack(replace(batch, logprobs=some), WIRE_FORMAT)[0]) for some in ((), (told, None))
    ]
    assert sizes[1] - sizes[0] == 3 * 8
    assert num_bytes(batch) == sizes[0] - 2 * 48


def test_more_barred_ids_than_a_frame_has_room_for_go_after_it() -> None:
    sampling = Sampling(barred_ids=tuple(range(20_000)), barred_until=12)
    batch = as_batch([replace(ROW, sampling=sampling), replace(ROW, request=2)], 1)
    assert len(pack(batch, WIRE_FORMAT)) == 4
    arrived = carry(batch)
    assert arrived.rows == batch.rows
    assert same(arrived.token_ids, batch.token_ids)
    assert same(arrived.hidden, batch.hidden)


@pytest.mark.parametrize("number", [1, 3, -1, 2**60])
@pytest.mark.parametrize("word", [3, 8, 9, 10])  # barred ids, biases, bytes of grammar, history
def test_extras_that_contradict_their_rows_are_refused(word: int, number: int) -> None:
    asked = Sampling(
        barred_ids=(7, 8),
        biases=(TokenBias(3, 1.0), TokenBias(4, 1.0)),
        grammar="0123456789",
        history=History((5, 6), 1),
    )
    frame = pack(as_batch([replace(ROW, sampling=asked)], 1), WIRE_FORMAT)[0]
    frame[120:].view(torch.int64)[word] = number
    decoder = Decoder(WIRE_FORMAT)
    envelope = decoder.unpack(frame)
    with pytest.raises(HexplanError, match="a message arrived"):
        decoder.complete(envelope, envelope.parts)


def test_a_row_of_a_request_that_never_began_is_refused() -> None:
    near, far = Encoder(WIRE_FORMAT), Decoder(WIRE_FORMAT)
    near.pack(as_batch([ROW], 1))
    with pytest.raises(HexplanError, match="never began here"):
        far.unpack(near.pack(as_batch([ROW], 1))[0])


def test_a_frame_that_is_cut_off_is_refused() -> None:
    (message,) = pack(as_batch([replace(ROW, tokens=0)], 0), WIRE_FORMAT)
    with pytest.raises(HexplanError, match="cut off"):
        unpack(message[:-1].clone(), WIRE_FORMAT)
