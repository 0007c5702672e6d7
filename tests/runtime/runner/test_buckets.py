from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan_runtime.runner.buckets import Bucket, BucketLimits, bucket_of

LIMITS = BucketLimits(rows=48, keys=3000)


@given(rows=st.integers(1, 48), keys=st.integers(1, 3000))
def test_a_bucket_has_room_for_the_step_and_is_at_most_half_padding(rows: int, keys: int) -> None:
    bucket = bucket_of(rows, keys, LIMITS)
    assert bucket is not None
    assert rows <= bucket.rows < 2 * rows or bucket.rows == rows == 1
    assert keys <= bucket.keys < max(2 * keys, 257)


@given(
    small=st.tuples(st.integers(1, 48), st.integers(1, 3000)),
    more=st.tuples(st.integers(0, 47), st.integers(0, 2999)),
)
def test_a_larger_step_never_gets_a_smaller_bucket(
    small: tuple[int, int], more: tuple[int, int]
) -> None:
    larger = min(48, small[0] + more[0]), min(3000, small[1] + more[1])
    first, second = bucket_of(*small, LIMITS), bucket_of(*larger, LIMITS)
    assert first is not None
    assert second is not None
    assert first.rows <= second.rows
    assert first.keys <= second.keys


def test_few_buckets_serve_all_steps() -> None:
    found = {bucket_of(rows, keys, LIMITS) for rows in range(1, 49) for keys in range(1, 3001)}
    assert len(found) == 7 * 5
    assert Bucket(48, 3000) in found


@pytest.mark.parametrize(("rows", "keys"), [(0, 1), (49, 1), (1, 3001), (1, 0)])
def test_a_step_beyond_the_limits_has_no_bucket(rows: int, keys: int) -> None:
    assert bucket_of(rows, keys, LIMITS) is None
