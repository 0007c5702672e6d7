"""Attention in an arena against the definition, row by row."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hexplan_runtime.model.kv_cache import Arena, KvShape
from hexplan_runtime.model.kv_reads import Reads, Seen, Single, group_rows

SLOTS, WIDTH, KV_HEADS, GROUP = 160, 4, 2, 3


def by_definition(q_QE: Tensor, keys_GKE: Tensor, values_GKE: Tensor) -> Tensor:
    """Attend from one token to all these keys, head by head."""
    out = []
    for head, q_E in enumerate(q_QE):
        keys_KE, values_KE = keys_GKE[head // GROUP], values_GKE[head // GROUP]
        weights_K = torch.softmax(keys_KE @ q_E / math.sqrt(WIDTH), dim=0)
        out.append(weights_K @ values_KE)
    return torch.cat(out)


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Rows of some requests: position, tokens, and tokens of room behind them."""
    return draw(
        st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from([1, 1, 1, 2, 5]), st.integers(0, 4)),
            min_size=1,
            max_size=7,
        ).filter(lambda found: sum(map(sum, found)) <= 116)
    )


@settings(max_examples=150, deadline=None)
@given(rows(), st.sampled_from([None, 1, 3, 8, 100]), st.integers(0, 2**20))
def test_each_token_attends_to_its_own_request_in_its_window(
    made: list[tuple[int, int, int]], window: int | None, seed: int
) -> None:
    torch.manual_seed(seed)
    arena = Arena((0, 1), SLOTS, KvShape(KV_HEADS, WIDTH, torch.float32))
    fill_with_holes(arena)
    seen, first = [], 0
    for request, (position, tokens, spare) in enumerate(made):
        arena.extend(request, position + tokens + spare)
        seen.append(Seen(first, position, tokens, arena.place(request)))
        first += tokens
    keys, values = arena.layer(0)
    keys.normal_()
    values.normal_()
    q_TQE = torch.randn(first, KV_HEADS * GROUP, WIDTH)
    found = Reads(seen, window, arena).attend(q_TQE, keys, values)
    for row in seen:
        for index in range(row.tokens):
            end = row.position + index + 1
            mine = row.place.slots[max(0, end - (window or end)) : end]
            token = row.token + index
            expected = by_definition(q_TQE[token], keys[:, mine], values[:, mine])
            torch.testing.assert_close(found[token], expected, rtol=1e-4, atol=1e-5)


def fill_with_holes(arena: Arena) -> None:
    """Leave free ranges of 1 to 30 slots alone, so that long rows are in pieces."""
    sizes = [1, 9, 20, 3, 6, 14, 25, 8, 30]
    for index, size in enumerate(sizes):
        arena.extend(100 + index, size)
        arena.extend(200 + index, 2)
    arena.extend(300, arena.free)
    for index in range(len(sizes)):
        arena.close(100 + index)


def test_a_row_in_pieces_attends_to_all_of_them() -> None:
    arena = Arena((0, 1), SLOTS, KvShape(KV_HEADS, WIDTH, torch.float32))
    fill_with_holes(arena)
    arena.extend(0, 50)
    arena.extend(1, 6)
    places = [arena.place(0), arena.place(1)]
    assert [len(place.ranges) for place in places] == [2, 1]
    keys, values = arena.layer(0)
    keys.normal_()
    values.normal_()
    seen = [Seen(0, 49, 1, places[0]), Seen(1, 5, 1, places[1])]
    q_TQE = torch.randn(2, KV_HEADS * GROUP, WIDTH)
    found = Reads(seen, None, arena).attend(q_TQE, keys, values)
    for token, place in enumerate(places):
        expected = by_definition(q_TQE[token], keys[:, place.slots], values[:, place.slots])
        torch.testing.assert_close(found[token], expected, rtol=1e-4, atol=1e-5)


singles = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 50)), min_size=1, max_size=30)


@given(singles)
def test_groups_hold_each_row_once_equally_far_apart_and_inside_the_arena(
    made: list[tuple[int, int]],
) -> None:
    rows, slots = [], 0
    for token, (count, gap) in enumerate(made):
        rows.append(Single(token, slots, count))
        slots += count + gap
    groups = list(group_rows(rows, slots))
    assert sorted(row.token for group in groups for row in group) == list(range(len(rows)))
    for group in groups:
        starts = [row.start for row in group]
        assert len({b - a for a, b in zip(starts, starts[1:], strict=False)}) <= 1
        assert starts[-1] + max(row.count for row in group) <= slots


def test_rows_that_stand_equally_far_apart_are_one_call() -> None:
    rows = [Single(token, 100 * token, 60 + token) for token in range(32)]
    assert [len(group) for group in group_rows(rows, 3200)] == [32]


def test_rows_of_unlike_lengths_are_paired_with_their_like() -> None:
    counts = [500, 40, 490, 44, 30, 510]
    starts = [0, 700, 800, 1500, 1600, 2303]
    rows = [Single(t, s, c) for t, (s, c) in enumerate(zip(starts, counts, strict=True))]
    groups = {frozenset(row.count for row in group) for group in group_rows(rows, 3000)}
    assert groups == {frozenset({500, 510}), frozenset({490}), frozenset({44, 40}), frozenset({30})}


def test_what_other_requests_left_behind_changes_no_output() -> None:
    arena = Arena((0, 1), SLOTS, KvShape(KV_HEADS, WIDTH, torch.float32))
    for request in range(3):
        arena.extend(request, 20)
    seen = [Seen(i, 4 + 5 * i, 1, arena.place(i)) for i in range(3)]
    keys, values = arena.layer(0)
    keys.normal_()
    values.normal_()
    q_TQE = torch.randn(3, KV_HEADS * GROUP, WIDTH)
    before = Reads(seen, None, arena).attend(q_TQE, keys, values)
    for row in seen:
        keys[:, row.place.slots[row.position + 1 :]] = 1e30
        values[:, row.place.slots[row.position + 1 :]] = 1e30
    assert torch.equal(before, Reads(seen, None, arena).attend(q_TQE, keys, values))


@pytest.mark.parametrize("window", [None, 3])
def test_a_decode_copies_no_keys(window: int | None) -> None:
    """Groups read the arena's own memory: a change there shows without planning again."""
    arena = Arena((0, 1), SLOTS, KvShape(KV_HEADS, WIDTH, torch.float32))
    arena.extend(0, 20)
    arena.extend(1, 30)
    seen = [Seen(i, 9, 1, arena.place(i)) for i in range(2)]
    keys, values = arena.layer(0)
    reads = Reads(seen, window, arena)
    values.fill_(1.0)
    assert reads.attend(torch.zeros(2, 6, WIDTH), keys, values).unique().tolist() == [1.0]
    values[:, arena.place(1).slots] = 2.0
    assert reads.attend(torch.zeros(2, 6, WIDTH), keys, values)[1].unique().tolist() == [2.0]
