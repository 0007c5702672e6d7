"""Requests that are longer than the model's context."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import small, write_folder
from support.specs import spec_of, two_nodes

from hexplan.errors import SpecError
from hexplan.reading.model_folder.folder import read_model_folder

OUTPUT = "output_tokens: 128"


@pytest.mark.parametrize(("output", "is_refused"), [(3072, False), (3073, True)])
def test_the_longest_prompt_and_output_must_fit_the_context(output: int, is_refused: bool) -> None:
    text = two_nodes(OUTPUT, f"output_tokens: {{mean: 128, max: {output}}}")
    if not is_refused:
        assert spec_of(text).workload.max_tokens == 4096
        return
    with pytest.raises(SpecError) as caught:
        spec_of(text)
    assert caught.value.where == "cluster.yaml:4: workload"
    assert "1024 prompt + 3073 output = 4097 tokens" in caught.value.problem
    assert "llama-2-7b has a context of 4096" in caught.value.problem
    assert "max_context" in (caught.value.hint or "")
    assert caught.value.exit_code == 2


def test_a_trace_must_fit_the_context(tmp_path: Path) -> None:
    rows = "ContextTokens,GeneratedTokens\n4000,97\n10,10\n"
    (tmp_path / "trace.csv").write_text(rows)
    lengths = "prompt_tokens: {mean: 512, max: 1024}\n  output_tokens: 128"
    with pytest.raises(SpecError, match=r"workload\.trace: the longest request has 4000 prompt"):
        spec_of(two_nodes(lengths, "trace: trace.csv"), tmp_path)


def test_a_longer_context_can_be_stated_beside_the_name_of_a_model() -> None:
    text = two_nodes(OUTPUT, "output_tokens: {mean: 128, max: 8000}")
    model = text.replace("model: llama-2-7b", "model: {name: llama-2-7b, max_context: 16384}")
    assert spec_of(model).model.max_context == 16_384


@pytest.mark.parametrize(
    ("change", "context"),
    [
        ({"max_position_embeddings": 32_768}, 32_768),
        # Qwen2.5 as its card tells one to extend it
        (
            {
                "max_position_embeddings": 32_768,
                "rope_scaling": {
                    "factor": 4.0,
                    "original_max_position_embeddings": 32_768,
                    "type": "yarn",
                },
            },
            131_072,
        ),
        # the same in the form of transformers 5, without the original length
        (
            {
                "max_position_embeddings": 32_768,
                "rope_parameters": {"rope_theta": 1e6, "factor": 4.0, "rope_type": "yarn"},
            },
            131_072,
        ),
        # DeepSeek-V3: the stated length is the extended one
        (
            {
                "max_position_embeddings": 163_840,
                "rope_scaling": {
                    "factor": 40,
                    "original_max_position_embeddings": 4096,
                    "type": "yarn",
                },
            },
            163_840,
        ),
        # Llama 3.1: likewise, and the factor tells less than the stated length
        (
            {
                "max_position_embeddings": 131_072,
                "rope_scaling": {
                    "factor": 8.0,
                    "original_max_position_embeddings": 8192,
                    "rope_type": "llama3",
                },
            },
            131_072,
        ),
        # Vicuna-v1.5-16k
        (
            {
                "max_position_embeddings": 4096,
                "rope_scaling": {"factor": 4.0, "type": "linear"},
            },
            16_384,
        ),
        # Phi-3-mini-128k
        (
            {
                "max_position_embeddings": 131_072,
                "original_max_position_embeddings": 4096,
                "rope_scaling": {"type": "longrope", "long_factor": [1.0], "short_factor": [1.0]},
            },
            131_072,
        ),
        # one entry for each type of layer
        (
            {
                "max_position_embeddings": 4096,
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 8.0},
                    "sliding_attention": {"rope_type": "default"},
                },
            },
            4096,
        ),
    ],
)
def test_rope_scaling_extends_the_context_as_transformers_means_it(
    change: dict[str, Any], context: int, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, small("Llama") | change)
    assert read_model_folder(folder).max_context == context


@pytest.mark.parametrize("factor", [None, 0, -1.0, "4", True, 1e300])
def test_a_factor_that_is_no_number_is_refused(factor: object, tmp_path: Path) -> None:
    change = {"rope_scaling": {"type": "yarn", "factor": factor}}
    folder = write_folder(tmp_path, small("Llama") | json.loads(json.dumps(change)))
    with pytest.raises(SpecError, match=r"rope_scaling\.factor: found .*, needed a number > 0"):
        read_model_folder(folder)


def test_the_old_name_of_rope_scaling_wins_as_in_transformers(tmp_path: Path) -> None:
    scaling = {
        "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    }
    folder = write_folder(tmp_path, small("Llama") | scaling)
    assert read_model_folder(folder).max_context == 4 * 128
