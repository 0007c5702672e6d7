"""Shares of heads, channels and rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clusters import device_type, tiny_model

from hexplan_solver.problem.shards import intervals, shard_sizes, split


@given(total=st.integers(0, 10**9), shares=st.lists(st.integers(1, 10**12), min_size=1, max_size=9))
def test_parts_sum_to_the_total_and_are_each_within_one_of_their_share(
    total: int, shares: list[int]
) -> None:
    parts = split(total, shares)
    assert sum(parts) == total
    for part, share in zip(parts, shares, strict=True):
        assert abs(part * sum(shares) - total * share) < sum(shares)


def test_equal_shares_differ_by_one_and_the_first_get_more() -> None:
    assert split(8, [1, 1, 1]) == (3, 3, 2)


def test_intervals_lie_end_to_end() -> None:
    assert intervals((3, 0, 2)) == ((0, 3), (3, 3), (3, 5))


def test_a_device_twice_as_fast_gets_twice_the_heads() -> None:
    fast, slow = device_type("fast", speed=2 * 10**12), device_type("slow", speed=10**12)
    sizes = shard_sizes(tiny_model(2, kv_heads=6), [fast, slow])
    assert sizes is not None
    assert [size.kv_heads for size in sizes] == [4, 2]


@pytest.mark.parametrize(("kv_heads", "heads", "n"), [(2, 6, 3), (4, 24, 6), (2, 6, 4), (2, 2, 4)])
def test_devices_that_no_copies_of_the_kv_heads_suit_cannot_share_a_layer(
    kv_heads: int, heads: int, n: int
) -> None:
    """Their number is no multiple of the KV heads, or does not divide the query heads."""
    model = tiny_model(2, kv_heads).model_copy(update={"heads": heads})
    assert shard_sizes(model, [device_type("d")] * n) is None


def test_more_devices_than_kv_heads_have_a_copy_each_however_fast_they_are() -> None:
    fast, slow = device_type("fast", speed=7 * 10**12), device_type("slow", speed=10**12)
    model = tiny_model(2, kv_heads=2).model_copy(update={"heads": 8})
    sizes = shard_sizes(model, [fast, slow, slow, slow])
    assert sizes is not None
    assert [size.kv_heads for size in sizes] == [1, 1, 1, 1]
    assert [size.ffn for size in sizes] == [89, 13, 13, 13]


def test_a_device_too_slow_for_one_head_is_refused() -> None:
    fast, slow = device_type("fast", speed=10**14), device_type("slow", speed=10**12)
    assert shard_sizes(tiny_model(2), [fast, slow]) is None
