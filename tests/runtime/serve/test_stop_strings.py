"""Stop strings, in texts that come in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan_runtime.serve.stop_strings import StopFinder

TEXTS = st.text("ab\n", max_size=30)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


def by_characters(text: str, stops: list[str]) -> tuple[str, str | None]:
    """Return what a reader of single characters keeps, and the stop string that it meets."""
    for end in range(1, len(text) + 1):
        met = [stop for stop in stops if text[:end].endswith(stop)]
        if met:
            longest = max(met, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(st.lists(TEXTS, max_size=8), STOPS, st.booleans())
def test_any_pieces_give_what_a_reader_of_single_characters_keeps(
    pieces: list[str], stops: list[str], keeps: bool
) -> None:
    finder = StopFinder(stops, keeps=keeps)
    found = "".join(finder.add(piece) for piece in pieces)
    kept, met = by_characters("".join(pieces), stops)
    assert finder.has_stopped == (met is not None)
    if met is None:
        found += finder.flush()
    assert found == kept + (met if keeps and met else "")


@given(st.lists(TEXTS, max_size=8), STOPS)
def test_no_more_is_held_back_than_may_begin_a_stop_string(
    pieces: list[str], stops: list[str]
) -> None:
    finder = StopFinder(stops)
    passed = sum(len(finder.add(piece)) for piece in pieces)
    if not finder.has_stopped:
        longest = max((len(stop) for stop in stops), default=1)
        assert sum(map(len, pieces)) - passed < longest


@pytest.mark.parametrize(
    ("pieces", "stops", "shown"),
    [
        (["one tw", "o three"], ["two"], ["one ", ""]),
        (["one tw", "in"], ["two"], ["one ", "twin"]),
        (["END"], ["END"], [""]),
        (["aab"], ["ab"], ["a"]),
        (["text"], [], ["text"]),
    ],
)
def test_text_before_a_stop_string_is_passed_on_at_once(
    pieces: list[str], stops: list[str], shown: list[str]
) -> None:
    finder = StopFinder(stops)
    assert [finder.add(piece) for piece in pieces] == shown
