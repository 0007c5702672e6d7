"""Names of models as people write them: of the catalog, of Hugging Face, or of folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.model_folders import small, write_folder
from support.specs import spec_of, two_nodes

from hexplan import catalog
from hexplan.catalog.shipped import find_model, known_models
from hexplan.errors import SpecError

IDS = json.loads((Path(catalog.__file__).parent / "data" / "model_ids.json").read_text())["models"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.1-70b"),  # the same sizes
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("qwen/qwen3-8b", "qwen3-8b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
    ],
)
def test_an_id_on_hugging_face_stands_for_a_model_of_the_catalog(name: str, expected: str) -> None:
    assert spec_of(two_nodes("llama-2-7b", name)).model == find_model(expected)
    in_awq = f"{{name: {name}, weights: awq}}"
    assert spec_of(two_nodes("llama-2-7b", in_awq)).model.name == expected


def test_each_id_names_a_model_of_the_catalog() -> None:
    assert set(IDS.values()) == set(known_models())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Qwen/Qwen3-32B-AWQ", "write `model: {name: qwen3-32b, weights: awq}`"),
        ("Qwen/Qwen3-8B-GPTQ-Int4", "weights: gptq}"),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "write `model: {name: llama-3.1-70b, weights: fp8}`"),
        ("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", "{name: llama-3.1-8b, weights: q4_k_m}"),
        ("unsloth/Llama-3.3-70B-Instruct-bnb-4bit", "weights: bnb-4bit}"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "weights: w4a16}"),
        ("llama-3-70b-instruct", "write `model: llama-3-70b`"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "did you mean `qwen3-30b-a3b`"),
        ("deepseek-ai/DeepSeek-V3", "give the folder that the model was downloaded to"),
        ("gpt-oss-120b", "`hexplan schema model`"),
    ],
)
def test_another_name_comes_with_what_to_do(name: str, hint: str) -> None:
    with pytest.raises(SpecError, match="needed a model of the catalog, or a folder in") as caught:
        spec_of(two_nodes("llama-2-7b", name))
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["/nonexistent/model", "./model", "../model"])
def test_a_path_without_a_folder_is_a_missing_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="found no such folder, needed a model folder") as caught:
        spec_of(two_nodes("llama-2-7b", name), tmp_path)
    assert "downloaded to" in (caught.value.hint or "")


def test_a_home_folder_is_not_expanded_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="found no such folder") as caught:
        spec_of(two_nodes("llama-2-7b", '"~/models/llama"'), tmp_path)
    assert "whole path" in (caught.value.hint or "")


def test_a_folder_with_the_name_of_an_id_is_that_folder(tmp_path: Path) -> None:
    config = small("Llama") | {"max_position_embeddings": 4096}
    (tmp_path / "org").mkdir()
    write_folder(tmp_path / "org", config, "model")
    assert spec_of(two_nodes("llama-2-7b", "org/model"), tmp_path).model.layers == 2
