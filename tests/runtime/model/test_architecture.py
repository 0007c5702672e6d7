from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_models import LINEAR, OPTIONS, make_option
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from hexplan.errors import InputError
from hexplan.model import Experts, Model, WeightFormat
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.model.architecture import Architecture, read_architecture, read_stop_ids


@pytest.mark.parametrize("name", OPTIONS)
def test_rotary_frequencies_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    folder = make_option(name, tmp_path / name)
    found = read_architecture(folder, read_model_folder(folder))
    expected = LlamaRotaryEmbedding(AutoConfig.from_pretrained(folder))
    assert torch.equal(torch.tensor(found.rotary_frequencies), expected.inv_freq)
    assert found.rotary_scale == pytest.approx(expected.attention_scaling)


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("llama", (None,) * 4),
        ("mistral", (16,) * 4),
        ("mistral-unwindowed", (None,) * 4),
        ("qwen2", (None,) * 4),  # has a sliding_window that is switched off
        ("qwen2-windowed", (None, None, 9, 9)),
    ],
)
def test_each_layer_has_its_window(
    name: str, windows: tuple[int | None, ...], tmp_path: Path
) -> None:
    folder = make_option(name, tmp_path / name)
    assert read_architecture(folder, read_model_folder(folder)).windows == windows


def test_frequencies_survive_the_way_to_the_ranks(llama: Path, llama_model: Model) -> None:
    found = read_architecture(llama, llama_model)
    assert Architecture.model_validate_json(found.model_dump_json()) == found


def changed_copy(folder: Path, target: Path, changes: dict[str, Any]) -> Path:
    """Return a copy of a model folder's config with some fields changed."""
    target.mkdir()
    config = json.loads((folder / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act: gelu, must be silu"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised weights"),
        ({"num_hidden_layers": 5}, "layers: 5, the plan has 4"),
        ({"intermediate_size": 95}, "ffn: 95, the plan has 96"),
        ({"head_dim": 10}, "head_dim: 10, the plan has 8"),
        ({"num_key_value_heads": 6}, "kv_heads: 6, the plan has 3"),
        ({"tie_word_embeddings": True}, "tied_embeddings: True, the plan has False"),
        ({"model_type": "mistral"}, "model_type: found 'mistral', needed 'llama' as architectures"),
        (
            {"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
            "family: mistral, the plan has llama",
        ),
        ({"attention_bias": True}, "qkv_bias: True, the plan has False"),
        ({"mlp_bias": True}, "ffn_bias: True, the plan has False"),
        ({"is_causal": False}, "is_causal: found false"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps: found nan, needed a number >= 0"),
        ({"rope_parameters": {"rope_type": "mrope", "rope_theta": 1.0}}, "found 'mrope', needed"),
        ({"rope_parameters": {"rope_theta": 0.0}}, "frequencies that are not finite"),
        ({"rope_parameters": {**LINEAR, "partial_rotary_factor": 0.5}}, "found 4 turned channels"),
    ],
)
def test_a_config_that_would_give_wrong_tokens_is_refused(
    llama: Path, llama_model: Model, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = changed_copy(llama, tmp_path / "changed", changes)
    with pytest.raises(InputError, match=message):
        read_architecture(folder, llama_model)


def test_a_scaled_rope_is_not_refused(llama: Path, llama_model: Model, tmp_path: Path) -> None:
    folder = changed_copy(llama, tmp_path / "changed", {"rope_parameters": LINEAR})
    plain = read_architecture(llama, llama_model).rotary_frequencies
    scaled = read_architecture(folder, llama_model).rotary_frequencies
    assert scaled == pytest.approx([frequency / 2 for frequency in plain])


@pytest.mark.parametrize(
    ("generation", "config", "stop_ids"),
    [
        ({"eos_token_id": [3, 4]}, {"eos_token_id": 5}, (3, 4)),  # the generation config wins
        ({"eos_token_id": 3}, {}, (3,)),
        (None, {"eos_token_id": 5}, (5,)),  # else the config
        (None, {"eos_token_id": [5, 6]}, (5, 6)),
        (None, {}, ()),  # else nothing stops a text but its length
    ],
)
def test_stop_tokens_are_found(
    llama: Path,
    tmp_path: Path,
    generation: dict[str, Any] | None,
    config: dict[str, Any],
    stop_ids: tuple[int, ...],
) -> None:
    folder = changed_copy(llama, tmp_path / "changed", config)
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    assert read_stop_ids(folder) == stop_ids


@pytest.mark.parametrize("stop", ["</s>", 2.0, True, ["a"], {"a": 1}])
@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_a_stop_token_that_is_none_is_refused(
    llama: Path, tmp_path: Path, name: str, stop: object
) -> None:
    """Of the config, transformers itself refuses some."""
    folder = changed_copy(llama, tmp_path / "changed", {})
    values = json.loads((llama / name).read_text())
    (folder / name).write_text(json.dumps(values | {"eos_token_id": stop}))
    with pytest.raises(InputError, match=f"{name}: eos_token_id: ") as caught:
        read_stop_ids(folder)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "[1]", "{", "null", '"a"', "\ufffe", "[" * 9999])
def test_a_generation_config_that_is_none_is_refused(
    llama: Path, tmp_path: Path, text: str
) -> None:
    folder = changed_copy(llama, tmp_path / "changed", {})
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(InputError, match=r"generation_config\.json"):
        read_stop_ids(folder)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rms_norm_eps": "1e-5"}, "rms_norm_eps"),
        ({"hidden_act": None}, "hidden_act"),
        ({"eos_token_id": "</s>"}, "eos_token_id"),
        ({"bos_token_id": [0]}, "bos_token_id"),
        ({"initializer_range": None}, "initializer_range"),
        ({"use_cache": "yes"}, "use_cache"),
        ({"layer_types": ["full_attention"] * 3}, "layer_types"),
        ({"layer_types": ["no_such_attention"] * 4}, "layer_types"),
        ({"rope_scaling": "linear"}, "rope_scaling"),
        ({"rope_parameters": {"rope_theta": "x"}}, "rope_parameters"),
        ({"id2label": {"x": 1}}, "id2label"),
    ],
)
def test_a_field_that_transformers_refuses_is_named(
    llama: Path, llama_model: Model, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    folder = changed_copy(llama, tmp_path / "changed", changes)
    with pytest.raises(InputError, match=rf"config\.json: {field}: ") as caught:
        read_architecture(folder, llama_model)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message


def test_code_in_a_model_folder_is_never_run(
    llama: Path, llama_model: Model, tmp_path: Path
) -> None:
    """An `auto_map` asks transformers to import the folder's own Python."""
    canary = tmp_path / "canary"
    auto_map = {"AutoConfig": "evil.EvilConfig"}
    folder = changed_copy(llama, tmp_path / "changed", {"auto_map": auto_map, "model_type": "evil"})
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w').close()")
    with pytest.raises(InputError):
        read_architecture(folder, llama_model)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"experts": Experts(total=8, active=2)}, "the plan has total=8 active=2"),
        ({"weights": WeightFormat(name="int4")}, "found int4 weights"),
        ({"kv_dtype": "fp8"}, "found a fp8 KV cache"),
    ],
)
def test_what_can_be_planned_but_not_run_yet_is_refused(
    update: dict[str, object], message: str, llama: Path, llama_model: Model
) -> None:
    with pytest.raises(InputError, match=message):
        read_architecture(llama, llama_model.model_copy(update=update))
