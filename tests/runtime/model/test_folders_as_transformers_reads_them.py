"""Odd model folders: the same logits as transformers, or a refusal; never other tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.changed_folders import (
    INDEX,
    PARTS,
    SINGLE,
    Change,
    Tensors,
    changed,
    load,
    our_logits,
    save,
    split,
    their_logits,
)
from transformers import AutoModelForCausalLM

from hexplan.errors import InputError
from hexplan.reading.model_folder.folder import read_model_folder

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
SLIDING, FULL = "sliding_attention", "full_attention"
MIXED = [SLIDING, FULL, SLIDING, FULL]
ON = {"use_sliding_window": True, "max_window_layers": 2}
HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"
WINDOWS: dict[str, Change] = {
    "a window alone": Change({"sliding_window": 8}),
    "a window switched off": Change({"sliding_window": 8, "use_sliding_window": False}),
    "a window in the upper layers": Change({"sliding_window": 8, **ON}, ("layer_types",)),
    "a window in all layers": Change(
        {"sliding_window": 1, **ON, "max_window_layers": -3}, ("layer_types",)
    ),
    "a window by layer": Change({"sliding_window": 8, **ON, "layer_types": MIXED}),
    "a window that nothing says": Change({}, ("sliding_window", "layer_types")),
    "a window switched on that nothing says": Change(ON, ("sliding_window", "layer_types")),
    "no window": Change({"sliding_window": None}, ("layer_types",)),
    "a window past the context": Change({"sliding_window": 2**40}),
    "chunks": Change({"attention_chunk_size": 8}),
}
ROPES: dict[str, Change] = {
    "the old name of the base": Change({"rope_theta": 500.0}, ("rope_parameters",)),
    "both names of the base": Change({"rope_theta": 500.0}),
    "the old form of scaling": Change({"rope_scaling": {"type": "linear", "factor": 2.0}}),
    "both forms of scaling": Change(
        {
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0},
        }
    ),
    "a part of the channels, unscaled": Change({"partial_rotary_factor": 0.5}),
    "another name of silu": Change({"hidden_act": "swish"}),
    "settings of other families": Change(
        {"query_pre_attn_scalar": 2, "final_logit_softcapping": 3.0, "logit_scale": 0.5}
    ),
}
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", [*WINDOWS.values(), *ROPES.values()], ids=[*WINDOWS, *ROPES])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_means_what_the_layers_of_transformers_take_it_to_mean(
    family: str, change: Change, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = changed(tiny(family), tmp_path / "changed", change)
    assert_close(our_logits(folder), their_logits(folder))


@pytest.mark.parametrize("family", ["mistral", "qwen2", "qwen3"])
def test_a_window_changes_the_logits(
    family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """The comparison can fail: these families do see less through a window."""
    change = WINDOWS["a window by layer"]
    folder = changed(tiny(family), tmp_path / "changed", change)
    whole = changed(folder, tmp_path / "whole", Change({"layer_types": [FULL] * 4}))
    assert (our_logits(folder) - our_logits(whole)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("family", "config", "field"),
    [
        ("mistral", {"sliding_window": 0}, "sliding_window"),
        ("mistral", {"sliding_window": -1}, "sliding_window"),
        ("mistral", {"sliding_window": None, "layer_types": MIXED}, "sliding_window"),
        ("qwen2", {"use_sliding_window": False, "layer_types": MIXED}, "sliding_window"),
        ("qwen3", {"sliding_window": None, **ON, "layer_types": MIXED}, "sliding_window"),
        ("qwen3", {"layer_types": ["chunked_attention"] * 4}, "layer_types"),
        ("qwen2", {"layer_types": [FULL] * 3}, "layer_types"),
        ("qwen3", {"rope_parameters": {FULL: {"rope_theta": 1e4}}}, "rope_parameters"),
        ("llama", {"rope_scaling": {"type": "mrope"}}, "rope_type"),
        ("llama", {"per_layer_config": {"1": {"intermediate_size": 8}}}, "per_layer_config"),
    ],
)
def test_what_transformers_itself_fails_on_is_refused(
    family: str, config: dict[str, Any], field: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = changed(tiny(family), tmp_path / "changed", Change(config))
    with pytest.raises(InputError, match=rf"config\.json: {field}: "):
        our_logits(folder)
    with pytest.raises(Exception):  # noqa: B017, PT011  of any kind
        their_logits(folder)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"is_causal": False}, "is_causal"),
        ({"model_type": "mistral"}, "model_type"),
        ({"attention_bias": True}, "model.layers.0.self_attn.q_proj.bias"),
    ],
)
def test_what_transformers_runs_as_another_model_is_refused(
    config: dict[str, Any], field: str, llama: Path, tmp_path: Path
) -> None:
    folder = changed(llama, tmp_path / "changed", Change(config))
    with pytest.raises(InputError, match=field):
        our_logits(folder)


def unprefixed(weights: Tensors) -> Tensors:
    return {name.removeprefix("model."): weight for name, weight in weights.items()}


def scaled(weights: Tensors) -> Tensors:
    return {name: weight * 1.3 if weight.dim() > 1 else weight for name, weight in weights.items()}


def alternating(weights: Tensors) -> Tensors:
    return {
        name: weight.to((torch.float32, torch.bfloat16, torch.float16, torch.float64)[index % 4])
        for index, (name, weight) in enumerate(weights.items())
    }


def other_parts(folder: Path) -> None:
    """Write an index to files with other weights than the single one."""
    weights = load(folder)
    save(scaled(weights), folder / SINGLE)
    split(folder)
    save(weights, folder / SINGLE)


def misplacing_index(folder: Path) -> None:
    split(folder)
    (folder / SINGLE).unlink()
    index = json.loads((folder / INDEX).read_text())
    places = index["weight_map"]
    places[HEAD], places["model.norm.weight"] = places["model.norm.weight"], places[HEAD]
    del places[TABLE]
    (folder / INDEX).write_text(json.dumps(index))


def bf16_head(weights: Tensors) -> Tensors:
    return weights | {HEAD: weights[HEAD].to(torch.bfloat16)}


def same_head(weights: Tensors) -> Tensors:
    return weights | {HEAD: weights[TABLE].clone()}


def nearly_same_head(weights: Tensors) -> Tensors:
    head = weights[TABLE].clone()
    head[-1, -1] += 1
    return weights | {HEAD: head}


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda weights: {key: weight for key, weight in weights.items() if key != name}


TIED = {"tie_word_embeddings": True}
FILES: dict[str, Change] = {
    "a single file beside an index to other weights": Change(files=other_parts),
    "an index that misplaces and omits weights": Change(files=misplacing_index),
    "names without the prefix": Change(weights=unprefixed),
    "four types of numbers": Change(weights=alternating),
    "biases that the config denies": Change(
        weights=lambda weights: weights | {"model.layers.0.self_attn.q_proj.bias": torch.ones(48)}
    ),
    "tied, with another head": Change(TIED),
    "tied, with another head in one number": Change(TIED, weights=nearly_same_head),
    "tied, with another head in other numbers": Change(TIED, weights=bf16_head),
    "tied, with the same head": Change(TIED, weights=same_head),
    "tied, without a head": Change(TIED, weights=without(HEAD)),
    "tied, with a head alone": Change(TIED, weights=without(TABLE)),
    "tied, without the prefix": Change(TIED, weights=unprefixed),
}


@pytest.mark.parametrize("change", FILES.values(), ids=FILES)
def test_of_files_that_disagree_the_one_counts_that_transformers_takes(
    change: Change, llama: Path, tmp_path: Path
) -> None:
    folder = changed(llama, tmp_path / "changed", change)
    assert_close(our_logits(folder), their_logits(folder))


def doubled(folder: Path) -> None:
    """Put the head of the first part into the second, with other numbers."""
    split(folder)
    (folder / SINGLE).unlink()
    second = load_part(folder, 1)
    save(second | {HEAD: -load_part(folder, 0)[HEAD]}, folder / PARTS[1])


def load_part(folder: Path, part: int) -> Tensors:
    return {name: weight.clone() for name, weight in load_file(folder / PARTS[part]).items()}


def test_a_tensor_in_two_files_is_refused_with_both_named(llama: Path, tmp_path: Path) -> None:
    folder = changed(llama, tmp_path / "changed", Change(files=doubled))
    with pytest.raises(InputError, match=rf"{PARTS[1]}: holds a tensor that {PARTS[0]} holds"):
        our_logits(folder)


def test_a_weight_under_two_names_is_refused_with_both_named(llama: Path, tmp_path: Path) -> None:
    twice = Change(weights=lambda weights: weights | {"norm.weight": torch.ones(48)})
    folder = changed(llama, tmp_path / "changed", twice)
    with pytest.raises(InputError, match=r"norm\.weight: found it as (model\.)?norm\.weight in"):
        our_logits(folder)


@pytest.mark.parametrize(
    ("change", "is_tied"),
    [
        (Change(), False),
        (Change(TIED), False),
        (Change(TIED, weights=nearly_same_head), False),
        (Change(TIED, weights=bf16_head), False),
        (Change(TIED, weights=same_head), True),
        (Change(TIED, weights=without(HEAD)), True),
        (Change(TIED, weights=without(TABLE)), True),
        (Change(TIED, files=lambda folder: (folder / SINGLE).unlink()), True),
    ],
)
def test_a_head_of_its_own_is_planned_as_one(
    change: Change, is_tied: bool, llama: Path, tmp_path: Path
) -> None:
    folder = changed(llama, tmp_path / "changed", change)
    assert read_model_folder(folder).tied_embeddings is is_tied


@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "bfloat16", "torch_dtype": "float16"}, "bfloat16"),
        ({"dtype": None, "torch_dtype": "float16"}, "float16"),
    ],
)
def test_of_several_types_of_numbers_the_one_counts_that_transformers_takes(
    config: dict[str, Any], dtype: str, llama: Path, tmp_path: Path
) -> None:
    """The files hold 32 bits."""
    folder = changed(llama, tmp_path / "changed", Change(config))
    theirs = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).dtype
    assert str(theirs).removeprefix("torch.") == dtype == read_model_folder(folder).dtype
