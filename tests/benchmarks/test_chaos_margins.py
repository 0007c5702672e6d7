"""The texts of the chaos clients: none of their tokens hangs on the last digits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from chaos_margins import margins
from chaos_model import make_model

LEAST = 5e-6
"""Some ten times what float32 rounds in sums of this model's size."""


@pytest.mark.slow
def test_no_token_of_the_texts_is_as_good_as_another_one(tmp_path: Path) -> None:
    found = list(margins(make_model(tmp_path / "model")))
    assert [one.ask.number for one in found if one.least < LEAST] == []
    assert [one.tokens for one in found] == [one.ask.max_tokens for one in found]
