from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from hexplan_runtime.batch import (
    Batch,
    Limits,
    Row,
    cut,
    merge,
    regroup,
    sampled,
    single_rows,
)
from hexplan_runtime.request import Sampling


def prompt(request: int, tokens: int) -> Batch:
    row = Row(request, 0, 0, tokens, 99, Sampling())
    return Batch((row,), torch.full((tokens,), request))


def test_merged_batches_keep_the_order_of_rows_and_tokens() -> None:
    merged = merge([prompt(3, 2), prompt(1, 1), prompt(2, 3)])
    assert [row.request for row in merged.rows] == [3, 1, 2]
    assert merged.token_ids is not None
    assert merged.token_ids.tolist() == [3, 3, 1, 2, 2, 2]
    assert merged.tokens == 6


def test_token_ids_and_activations_merge_apart() -> None:
    row = Row(9, 0, 0, 2, 99, Sampling())
    merged = merge([prompt(1, 1), Batch((row,), hidden=torch.ones(2, 4))])
    assert merged.token_ids is not None
    assert merged.hidden is not None
    assert (len(merged.token_ids), len(merged.hidden)) == (1, 2)


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 8), st.integers(1, 20))
def test_groups_hold_everything_once_and_keep_the_limits(
    sizes: list[int], rows: int, tokens: int
) -> None:
    batches = [prompt(index, size) for index, size in enumerate(sizes)]
    groups = list(regroup(batches, Limits(rows, tokens)))
    assert [row.request for group in groups for row in group.rows] == list(range(len(sizes)))
    assert all(len(group.rows) <= rows for group in groups)
    assert all(group.tokens <= tokens or len(group.rows) == 1 for group in groups)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_no_two_groups_in_a_row_would_fit_into_one(sizes: list[int]) -> None:
    batches = [prompt(index, size) for index, size in enumerate(sizes)]
    groups = list(regroup(batches, Limits(rows=4, tokens=10)))
    for left, right in zip(groups, groups[1:], strict=False):
        first_of_right = right.rows[0].tokens
        assert len(left.rows) == 4 or left.tokens + first_of_right > 10


def test_a_sampled_row_stands_after_the_tokens_that_led_to_it() -> None:
    row = sampled(Row(5, 0, 10, 7, 99, Sampling(), samples=True))
    assert (row.position, row.tokens, row.samples, row.decodes) == (17, 1, False, True)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=9), st.integers(0, 9))
def test_single_rows_merge_into_the_batch_that_they_are_of(sizes: list[int], split: int) -> None:
    rows = tuple(Row(index, 0, 0, size, 99, Sampling()) for index, size in enumerate(sizes))
    ids, hidden = sum(sizes[:split]), sum(sizes[split:])
    batch = Batch(
        rows,
        torch.arange(ids) if ids else None,
        torch.arange(2.0 * hidden).view(hidden, 2) if hidden else None,
    )
    again = merge(list(single_rows(batch)))
    assert again.rows == rows
    for found, expected in ((again.token_ids, batch.token_ids), (again.hidden, batch.hidden)):
        assert (found is None) == (expected is None)
        assert found is None or expected is None or torch.equal(found, expected)


def test_the_last_part_of_a_cut_prompt_samples_alone() -> None:
    row = Row(5, 0, 10, 7, 99, Sampling(), samples=True)
    first, rest = cut(Batch((row,), torch.arange(7)), 3)
    assert [(b.rows[0].position, b.tokens, b.rows[0].samples) for b in (first, rest)] == [
        (10, 3, False),
        (13, 4, True),
    ]
    assert merge([first, rest]).token_ids is not None
    assert first.token_ids is not None
    assert first.token_ids.tolist() == [0, 1, 2]
