"""Lanes: where a step is cut in two, and in which pieces its sums begin."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from hexplan.schedule.interleaving import MOST_PIECES, lane_cut, pieces_of
from hexplan.techniques import Interleave

HOWS = st.builds(
    Interleave,
    from_tokens=st.integers(2, 200),
    piece_tokens=st.integers(1, 200),
    slowdown=st.just(Decimal(1)),
)
ROWS = st.lists(st.integers(1, 90), min_size=1, max_size=12)


@given(ROWS, HOWS)
def test_a_step_is_one_lane_below_the_threshold_and_two_of_nearly_equal_length_from_it_on(
    rows: list[int], how: Interleave
) -> None:
    tokens, cut = sum(rows), lane_cut(rows, how)
    assert (cut is None) == (tokens < how.from_tokens)
    if cut is not None:
        assert 0 < cut < tokens
        assert abs(cut - tokens / 2) <= max(0.5, tokens / 16 + 0.5)


@given(ROWS, HOWS)
def test_no_row_is_cut_where_one_ends_near_the_middle(rows: list[int], how: Interleave) -> None:
    cut, tokens = lane_cut(rows, how), sum(rows)
    ends = [sum(rows[:count]) for count in range(1, len(rows))]
    near = [end for end in ends if abs(end - -(-tokens // 2)) * 16 <= tokens]
    if cut is not None and near:
        assert cut in ends


def test_decodes_beside_prompts_are_cut_between_rows() -> None:
    how = Interleave(from_tokens=8, piece_tokens=64, slowdown=Decimal(1))
    assert lane_cut([1] * 16, how) == 8
    assert lane_cut([1] * 7 + [9], how) == 7
    assert lane_cut([64], how) == 32
    assert lane_cut([1, 1, 62], how) == 32
    assert lane_cut([1] * 7, how) is None


@given(st.integers(1, 5000), HOWS)
def test_pieces_hold_every_token_once_and_are_no_smaller_than_they_may(
    tokens: int, how: Interleave
) -> None:
    pieces = pieces_of(tokens, how)
    assert [token for piece in pieces for token in range(*piece)] == list(range(tokens))
    assert len(pieces) <= MOST_PIECES
    sizes = [end - first for first, end in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert len(pieces) == 1 or min(sizes) >= how.piece_tokens
