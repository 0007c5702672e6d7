"""With the published scheduler, published placements serve what was published."""

from __future__ import annotations

import pytest
from support.published_cases import CASES, Case

QUICK = {"single24 70B, separate, offline"}
"""What takes a few seconds; the rest takes 5 to 20 each."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.name in QUICK else pytest.mark.slow)
        for case in CASES
    ],
)
def test_the_published_decode_rate_comes_out_within_5_percent(case: Case) -> None:
    assert case.decode_tokens_per_s() == pytest.approx(case.published, rel=0.05)
