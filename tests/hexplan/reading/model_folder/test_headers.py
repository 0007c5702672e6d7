"""Folders with weights: the sizes of their tensors count, whatever their configs say."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.checkpoints import (
    Store,
    awq,
    fp8,
    llama_tensors,
    nvfp4,
    stored_bytes,
    write_tensors,
)
from support.model_folders import small, write_folder

from hexplan.cost.weights import ShardSizes, weights_bytes
from hexplan.errors import InputError, SpecError
from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder

LLAMA = small("Llama") | {"intermediate_size": 128, "vocab_size": 96}
STORES: dict[str, Mapping[str, Store]] = {
    "all layers in fp8": {"layers": fp8},
    "networks alone in fp8": {".mlp.": fp8},
    "the second layer alone in AWQ": {"layers.1.": awq},
    "everything in AWQ": {"": awq},
    "networks in NVFP4, attention in fp8": {".mlp.": nvfp4, ".self_attn.": fp8},
    "networks in NVFP4, the head in fp8": {".mlp.": nvfp4, "lm_head": fp8},
}


def whole_bytes(model: Model) -> int:
    return weights_bytes(
        model, ShardSizes(model.kv_heads, model.ffn, model.vocab), (0, model.layers)
    )


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("prefix", ["", "language_model."])
@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
@pytest.mark.parametrize(
    "quantisation",
    [
        None,
        {"quant_method": "fp8", "weight_block_size": [16, 16]},
        {"quant_method": "quark", "export": {}},  # unknown here
    ],
)
def test_a_model_takes_the_bytes_of_its_tensors(
    files: int,
    prefix: str,
    stores: Mapping[str, Store],
    quantisation: object,
    tmp_path: Path,
) -> None:
    config = LLAMA | ({"quantization_config": quantisation} if quantisation else {})
    folder = write_folder(tmp_path, config)
    tensors = llama_tensors(config, stores, prefix)
    write_tensors(folder, tensors, files)
    found = whole_bytes(read_model_folder(folder))
    # Averages are rounded up, for each of 7 matrices in 2 layers and 2 tables.
    assert stored_bytes(tensors) <= found <= stored_bytes(tensors) + 16


def test_a_tied_model_takes_the_bytes_of_its_tensors(tmp_path: Path) -> None:
    config = LLAMA | {"tie_word_embeddings": True}
    folder = write_folder(tmp_path, config)
    tensors = llama_tensors(config, {"": awq})
    write_tensors(folder, tensors)
    found = whole_bytes(read_model_folder(folder))
    assert stored_bytes(tensors) <= found <= stored_bytes(tensors) + 16


def test_plain_weights_take_the_type_that_they_are_read_into(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LLAMA | {"torch_dtype": "float32"})
    write_tensors(folder, llama_tensors(LLAMA, {}))  # in 16 bits
    model = read_model_folder(folder)
    assert (model.weights, model.dtype) == (None, "float32")


def test_the_config_says_what_the_bytes_do_not(tmp_path: Path) -> None:
    stated = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}
    folder = write_folder(tmp_path, LLAMA | {"quantization_config": stated})
    write_tensors(folder, llama_tensors(LLAMA, {"layers": nvfp4}))
    form = read_model_folder(folder).weights
    assert form is not None
    assert (form.name, form.operands, form.block_columns) == ("fp4", "fp4", 16)


@pytest.mark.parametrize(("store", "name"), [(fp8, "fp8"), (awq, "int5"), (nvfp4, "int4")])
def test_an_unknown_method_is_named_by_how_its_numbers_are_stored(
    store: Store, name: str, tmp_path: Path
) -> None:
    """AWQ with groups of 16 takes 5.25 bits a weight."""
    folder = write_folder(tmp_path, LLAMA | {"quantization_config": {"quant_method": "quark"}})
    write_tensors(folder, llama_tensors(LLAMA, {"layers": store}))
    form = read_model_folder(folder).weights
    assert form is not None
    assert form.name == name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 70)
        + b'{"a": {"dtype": "F16", "shape": [9], "data_offsets": [0, 18]}}        ',
    ],
    ids=["empty", "a pointer of Git LFS", "an absurd length", "cut off"],
)
def test_weights_that_are_not_downloaded_yet_leave_the_config_to_count(
    content: bytes, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, LLAMA | {"quantization_config": {"quant_method": "fp8"}})
    (folder / "model.safetensors").write_bytes(content)
    form = read_model_folder(folder).weights
    assert form is not None
    assert (form.name, form.average_bits) == ("fp8", None)


def test_an_index_with_a_missing_file_leaves_the_config_to_count(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LLAMA)
    write_tensors(folder, llama_tensors(LLAMA, {"layers": fp8}), files=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert read_model_folder(folder).weights is None


@pytest.mark.parametrize(
    "header",
    [
        b"not JSON",
        b"\xff\xfe",
        b"[1]",
        b'{"a": 5}',
        b'{"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [0]}}',
        b'{"secret": 1, "secret": 2}',
    ],
)
def test_a_header_of_another_kind_is_refused_without_quoting_it(
    header: bytes, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path, LLAMA)
    content = struct.pack("<Q", len(header)) + header
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(
        SpecError, match=r"model\.safetensors: needed a file of safetensors"
    ) as error:
        read_model_folder(folder)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "index",
    [{}, {"weight_map": {}}, {"weight_map": {"a": "../other.safetensors"}}, {"weight_map": [1]}],
)
def test_an_index_may_only_name_files_beside_it(index: dict[str, Any], tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LLAMA)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SpecError, match="needed a `weight_map` with the names of"):
        read_model_folder(folder)


def test_a_single_file_counts_before_an_index(tmp_path: Path) -> None:
    """As in transformers; here the index leads to quantised weights."""
    folder = write_folder(tmp_path, LLAMA)
    write_tensors(folder, llama_tensors(LLAMA, {"layers": fp8}), files=2)
    assert read_model_folder(folder).weights is not None
    write_tensors(folder, llama_tensors(LLAMA, {}))
    assert read_model_folder(folder).weights is None


def test_a_tensor_in_two_files_is_refused_with_both_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LLAMA)
    write_tensors(folder, llama_tensors(LLAMA, {}), files=2)
    first, second = sorted(folder.glob("*.safetensors"))
    second.write_bytes(first.read_bytes())
    with pytest.raises(SpecError, match=rf"{second.name}: holds a tensor that {first.name} holds"):
        read_model_folder(folder)


def test_an_index_to_files_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LLAMA)
    index = {"weight_map": {"a": "pytorch_model.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SpecError, match="safetensors files beside it"):
        read_model_folder(folder)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_weight_file_gives_a_model_or_an_error_for_its_user(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, length: int
) -> None:
    folder = write_folder(tmp_path_factory.mktemp("model"), LLAMA)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + content)
    try:
        read_model_folder(folder)
    except InputError as error:
        assert str(folder.resolve()) in error.message
