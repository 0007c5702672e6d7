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

from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.runner.kv_offload.host_link import HostLink

TEXT = torch.randint(0, 256, (60,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = [7, 9, 1, 14, *[1] * 29]
PROMPT = 31
ENDS = torch.tensor(PIECES).cumsum(0) - 1
SHAPE: list[StageSpec] = [((0, 2), (1,)), ((2, 4), (1, 1))]
FAST = ("llama-biases", "qwen3-everything")
SLOW = tuple(name for name in OPTIONS if name not in FAST)
NEARLY_ALL = "0.999"
"""Pages are chosen by their bounds, and all of them are, as their number is rounded up."""
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.fixture(
    scope="module", params=[*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option(request.param, tmp_path_factory.mktemp("option") / request.param)


@pytest.mark.parametrize("fraction", ["1", NEARLY_ALL])
def test_a_stage_that_fetches_everything_says_what_transformers_says(
    option: Path, fraction: str
) -> None:
    plan = offloading(make_plan(read_model_folder(option), SHAPE), fraction)
    expected = all_logits(load_reference(option), TEXT)
    with running_stages(plan, option) as runners:
        assert_close(run_in_pieces(runners, plan, TEXT, PIECES, PROMPT), expected[ENDS])


def test_decodes_fetch_the_share_of_pages_that_they_are_allowed_and_prompts_fetch_all(
    llama: Path, llama_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = HostLink()
    monkeypatch.setattr("hexplan_runtime.runner.choose.host_link", lambda: link)
    plan = offloading(make_plan(llama_model, [((0, 4), (1,))]), "0.3")
    expected = all_logits(load_reference(llama), TEXT)
    with running_stages(plan, llama) as runners:
        found = run_in_pieces(runners, plan, TEXT, PIECES, PROMPT)
    # Prompts see everything; decodes do not see what they do not fetch.
    assert_close(found[:4], expected[ENDS][:4])
    assert (found[-1] - expected[-1]).abs().max() > 0.01
    a_token = 2 * llama_model.kv_heads * llama_model.head_dim * 4
    layers = 3
    prompts = 7 + 16 + 17
    # 0.3 of 4 to 8 pages of 8 tokens, rounded up: 2 pages up to 48 positions, 3 above.
    decodes = sum(16 if position <= 48 else 24 for position in range(PROMPT, len(TEXT)))
    assert link.ahead_bytes == layers * decodes * a_token
    assert link.fetched_bytes == layers * (prompts + decodes) * a_token
    assert link.stored_bytes == layers * len(TEXT) * a_token
