"""Rotary frequencies that transformers changes with the length: one set for the longest context."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from make_tiny_checkpoints import make_tiny
from support.changed_folders import Change, changed
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import make_plan

from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder

ORIGINAL, LONGEST = 32, 64
TEXT = torch.randint(0, 256, (LONGEST,), generator=torch.Generator().manual_seed(6)).tolist()
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


def longrope(channels: int) -> dict[str, Any]:
    pairs = channels // 2
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + 0.1 * pair for pair in range(pairs)],
        "long_factor": [2.0 + pair for pair in range(pairs)],
        "original_max_position_embeddings": ORIGINAL,
    }


CHANGES: dict[str, dict[str, Any]] = {
    "llama dynamic": {"rope_parameters": DYNAMIC, "max_position_embeddings": ORIGINAL},
    "llama longrope": {"rope_parameters": longrope(8), "max_position_embeddings": LONGEST},
    "phi3 longrope": {
        "rope_parameters": longrope(8),
        "max_position_embeddings": LONGEST,
        "original_max_position_embeddings": ORIGINAL,
        "sliding_window": None,
    },
}


@pytest.fixture(scope="module", params=list(CHANGES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rope")
    family = request.param.partition(" ")[0]
    return changed(make_tiny(family, made / "plain"), made / "it", Change(CHANGES[request.param]))


def logits_of(folder: Path, model: Model, text: list[int], pieces: list[int]) -> torch.Tensor:
    plan = make_plan(model, [((0, 2), (1,)), ((2, 4), (1,))])
    with running_stages(plan, folder) as runners:
        return run_in_pieces(runners, plan, text, pieces)


def test_within_the_original_context_it_is_what_transformers_says(folder: Path) -> None:
    model = read_model_folder(folder)
    assert model.max_context == LONGEST
    short = model.model_copy(update={"max_context": ORIGINAL})
    text = TEXT[:ORIGINAL]
    found = logits_of(folder, short, text, [20, 11, 1])
    assert_close(found, all_logits(load_reference(folder), text)[[19, 30, 31]])


def test_a_prompt_of_the_longest_context_is_what_transformers_says(folder: Path) -> None:
    found = logits_of(folder, read_model_folder(folder), TEXT, [40, 24])
    assert_close(found, all_logits(load_reference(folder), TEXT)[[39, 63]])


def test_the_longest_context_makes_a_difference(folder: Path) -> None:
    model = read_model_folder(folder)
    short = model.model_copy(update={"max_context": ORIGINAL})
    text = TEXT[:ORIGINAL]
    long_logits, short_logits = (logits_of(folder, m, text, [32]) for m in (model, short))
    assert (long_logits - short_logits).abs().max() > 1e-2
