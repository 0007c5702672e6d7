"""Times of a profile rise with tokens, where noise alone says otherwise."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from hexplan_runtime.measure.rising import rising_times_s
from hexplan_runtime.measure.sample import Point, Sample


def _sample(tokens: int, median_s: float, spread: float) -> Sample:
    """Return three times with this median, whose middle half ranges over this share of it."""
    point = Point(tp=1, phase="decode", tokens=tokens, context=8)
    return Sample(point=point, times_s=(median_s * (1 - spread), median_s, median_s * (1 + spread)))


def _samples(*figures: tuple[float, float]) -> list[Sample]:
    return [_sample(2**place, *figure) for place, figure in enumerate(figures)]


def test_times_that_rise_are_their_medians() -> None:
    assert rising_times_s(_samples((1.0, 0.3), (2.0, 0.3), (4.0, 0.3))) == (1.0, 2.0, 4.0)


def test_an_unsteady_time_above_a_steady_one_of_more_tokens_comes_down_to_it() -> None:
    first_s, second_s = rising_times_s(_samples((2.5, 0.25), (2.3, 0.02)))
    assert first_s == second_s
    assert 2.3 < first_s < 2.31


def test_what_spreads_do_not_explain_stays() -> None:
    assert rising_times_s(_samples((3.0, 0.02), (2.0, 0.02))) == (3.0, 2.0)


@given(
    medians_s=st.lists(st.floats(1.0, 1.3), min_size=1, max_size=12),
    spread=st.floats(0.5, 0.9),
)
def test_within_large_spreads_times_are_those_of_an_isotonic_regression(
    medians_s: list[float], spread: float
) -> None:
    samples = _samples(*((median_s, spread) for median_s in medians_s))
    weights = [(sample.spread * sample.median_s) ** -2 for sample in samples]
    expected = isotonic_regression(medians_s, weights=weights).x
    found = rising_times_s(samples)
    assert all(math.isclose(*pair, rel_tol=1e-9) for pair in zip(found, expected, strict=True))
    assert all(one <= longer for one, longer in pairwise(found))
