"""Stages with more ranks than the model has KV heads, against the whole model in one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import StageSpec, interleaving, make_plan, offloading, sharing
from support.tiny_models import TWO_HEADS, make_option

from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.model import attention

TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(7)).tolist()
PIECES = [7, 9, 1, 1, 2, 20]
SHAPE: list[StageSpec] = [((0, 1), (1,)), ((1, 4), (1, 1, 1, 1))]
"""The first stage has each of two KV heads once, the second twice."""


@pytest.fixture(
    scope="module",
    params=[
        "llama-biases",
        "qwen2",
        "qwen3-everything",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mistral", "llama3", "qwen3")),
    ],
)
def option(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("option") / request.param
    return make_option(request.param, folder, TWO_HEADS)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_option("llama", tmp_path_factory.mktemp("two heads"), TWO_HEADS)


WAYS = {
    "tp": lambda plan: plan,
    "sp": sharing,
    "shift": partial(sharing, shift_tokens=8),
    "sp x tp": partial(sharing, sp_degree=2),
    "shift x tp": partial(sharing, shift_tokens=8, sp_degree=2),
    "two lanes": interleaving,
    "host memory": partial(offloading, fraction="0.999"),
}


def off_by(plan: Plan, folder: Path) -> float:
    """Return the largest difference of any logit from those of the whole model."""
    ends = torch.tensor(PIECES).cumsum(0) - 1
    expected = all_logits(load_reference(folder), TEXT)[ends]
    with running_stages(plan, folder) as runners:
        found = run_in_pieces(runners, plan, TEXT, PIECES)
    return float((found - expected).abs().max())


@pytest.mark.parametrize("way", ["tp", "shift"])
def test_every_family_says_what_transformers_says(option: Path, way: str) -> None:
    plan = WAYS[way](make_plan(read_model_folder(option), SHAPE))
    assert off_by(plan, option) < 1e-4


@pytest.mark.parametrize("way", ["sp", "sp x tp", "shift x tp", "two lanes", "host memory"])
def test_ranks_with_copies_share_their_work_in_every_way(llama: Path, way: str) -> None:
    plan = WAYS[way](make_plan(read_model_folder(llama), SHAPE))
    assert off_by(plan, llama) < 1e-4


@pytest.mark.parametrize("way", ["tp", "sp", "shift"])
def test_the_only_kv_head_of_a_model_is_on_both_ranks(tmp_path: Path, way: str) -> None:
    folder = make_option("qwen2", tmp_path, {**TWO_HEADS, "num_key_value_heads": 1})
    plan = WAYS[way](make_plan(read_model_folder(folder), [((0, 4), (1, 1))]))
    assert [shard.kv_heads for shard in plan.stages[0].shards] == [(0, 1), (1, 2)]
    assert off_by(plan, folder) < 1e-4


def test_copies_of_the_wrong_head_change_what_is_said(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the copies alternate, while each rank has the query heads of the head before."""

    def in_turn(model: Model, held: Model, head: int) -> int:
        return head % model.kv_heads

    monkeypatch.setattr(attention, "_real_head", in_turn)
    for way in ("tp", "sp"):
        assert off_by(WAYS[way](make_plan(read_model_folder(llama), SHAPE)), llama) > 0.1
