"""Whole weights by largest remainder."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.export.shares import MOST, largest_remainder, whole_weights

SHARES = st.lists(st.fractions(min_value=Fraction(1, 1000), max_value=1), min_size=1, max_size=12)


def test_weights_of_a_known_split() -> None:
    assert whole_weights([Fraction(1, 3)] * 3) == (334, 333, 333)
    assert whole_weights([Fraction(1, 2), Fraction(1, 2)]) == (1, 1)
    assert whole_weights([Fraction("0.41"), Fraction("0.59")]) == (41, 59)


@settings(max_examples=25, deadline=None)
@given(SHARES)
def test_a_weight_is_off_by_less_than_one_of_the_total(shares: list[Fraction]) -> None:
    total = sum(shares)
    found = largest_remainder(shares, 1000)
    assert sum(found) == 1000
    assert all(abs(w - s * 1000 / total) < 1 for w, s in zip(found, shares, strict=True))


@settings(max_examples=25, deadline=None)
@given(SHARES)
def test_equal_shares_differ_by_one_at_most_and_none_is_closed(shares: list[Fraction]) -> None:
    found = whole_weights(shares)
    assert min(found) >= 1
    assert max(found) <= MOST
    again = largest_remainder([shares[0]] * 7, 1000)
    assert max(again) - min(again) <= 1


def test_a_share_below_a_thousandth_gets_finer_weights() -> None:
    assert whole_weights([Fraction(1, 5000), Fraction(4999, 5000)]) == (1, 4999)
