"""Stages whose ranks share out tokens, against the whole model in one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, make_plan, sharing
from support.tiny_models import OPTIONS, make_option

from hexplan.reading.model_folder.folder import read_model_folder

TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = [7, 9, 1, 1, 2, 20]
THRESHOLDS = {"sp": None, "shift up to 1": 1, "shift up to 8": 8, "never": 40}
SHAPE: list[StageSpec] = [((0, 1), (1,)), ((1, 4), (1, 1, 1))]
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module", params=list(OPTIONS))
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


def test_every_family_says_what_transformers_says(option: Path) -> None:
    whole = make_plan(read_model_folder(option), SHAPE)
    expected = all_logits(load_reference(option), TEXT)
    ends = torch.tensor(PIECES).cumsum(0) - 1
    for shift_tokens in THRESHOLDS.values():
        plan = sharing(whole, shift_tokens)
        with running_stages(plan, option) as runners:
            assert_close(run_in_pieces(runners, plan, TEXT, PIECES), expected[ends])
