"""Stages with keys and values in host memory: against the whole model in one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, make_plan, offloading
from support.tiny_models import OPTIONS, make_option

from hexplan.reading.model_folder.folder import read_model_folder

TEXT = torch.randint(0, 256, (60,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = [7, 9, 1, 14, *[1] * 29]
SHAPE: list[StageSpec] = [((0, 2), (1,)), ((2, 4), (1, 1))]
FAST = ("llama-biases", "qwen3-everything")
SLOW = tuple(name for name in OPTIONS if name not in FAST)
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture(
    scope="module", params=[*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


def test_all_of_host_memory_fetched_is_what_transformers_says(option: Path) -> None:
    plan = offloading(make_plan(read_model_folder(option), SHAPE), "1")
    expected = all_logits(load_reference(option), TEXT)
    ends = torch.tensor(PIECES).cumsum(0) - 1
    with running_stages(plan, option) as runners:
        found = run_in_pieces(runners, plan, TEXT, PIECES, prompt=31)
    assert_close(found, expected[ends])
