from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.runtime_plans import make_plan

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.model.model_files import find_model_folder
from hexplan_runtime.model.weights import WeightsReader

NOT_WHOLE = r"model\.safetensors: .*header"
WEIGHT = torch.arange(24.0).reshape(4, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"w": WEIGHT, "bias": torch.arange(4.0)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def write_index(folder: Path, files: object) -> Path:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return folder


def test_a_slice_is_read_and_only_its_bytes_are_counted(folder: Path) -> None:
    with WeightsReader(folder, torch.float32) as weights:
        part = weights.read("w", (4, 6), (1, 3), (2, 5))
    assert torch.equal(part, WEIGHT[1:3, 2:5])
    assert (weights.bytes_read, weights.weights_bytes) == (24, 24)


def test_rows_alone_and_whole_weights_are_read(folder: Path) -> None:
    with WeightsReader(folder, torch.float32) as weights:
        assert torch.equal(weights.read("w", (4, 6), (3, 4)), WEIGHT[3:4])
        assert torch.equal(weights.read("w", (4, 6)), WEIGHT)
        assert torch.equal(weights.read("bias", (4,), (1, 2)), torch.tensor([1.0]))


def test_weights_are_converted_as_they_are_read(folder: Path) -> None:
    with WeightsReader(folder, torch.bfloat16) as weights:
        assert weights.read("w", (4, 6)).dtype == torch.bfloat16
    assert (weights.bytes_read, weights.weights_bytes) == (96, 48)


def test_weights_in_several_files_are_found_by_the_index(tmp_path: Path) -> None:
    save_file({"a": WEIGHT}, tmp_path / "one.safetensors")
    save_file({"b": -WEIGHT}, tmp_path / "two.safetensors")
    write_index(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    with WeightsReader(tmp_path, torch.float32) as weights:
        assert torch.equal(weights.read("a", (4, 6)), WEIGHT)
        assert torch.equal(weights.read("b", (4, 6)), -WEIGHT)
        with pytest.raises(InputError, match="no file has the weight c"):
            weights.read("c", (4, 6))


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",  # leaves the folder
        "/etc/outside.safetensors",  # absolute
        "sub/../../outside.safetensors",
        "sub/inside.safetensors",  # even within: an index names plain files
        "model.bin",  # a pickle
        "model.safetensors.bin",
        "..",
        "",
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"w": WEIGHT}, tmp_path / "outside.safetensors")
    write_index(folder, {"w": name})
    with pytest.raises(InputError, match="safetensors files beside it"):
        WeightsReader(folder, torch.float32)


@pytest.mark.parametrize("files", [None, [], {"w": "gone.safetensors"}, "model.safetensors"])
def test_a_broken_index_is_refused(tmp_path: Path, files: object) -> None:
    write_index(tmp_path, files)
    with pytest.raises(InputError, match=r"needed a `weight_map`|is missing"):
        WeightsReader(tmp_path, torch.float32)


def test_a_pickle_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"w": [1.0]}))
    with (
        WeightsReader(tmp_path, torch.float32) as weights,
        pytest.raises(InputError, match=NOT_WHOLE),
    ):
        weights.read("w", (4, 6))


def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with WeightsReader(tmp_path, torch.float32) as weights, pytest.raises(InputError):
        weights.read("w", (4, 6))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("w", (4, 7), r"shape \(4, 6\), the plan needs \(4, 7\)"),
        ("w", (24,), r"shape \(4, 6\), the plan needs \(24,\)"),
        ("none", (4, 6), "none"),
    ],
)
def test_a_weight_of_another_model_is_refused(
    folder: Path, name: str, shape: tuple[int, ...], message: str
) -> None:
    with WeightsReader(folder, torch.float32) as weights, pytest.raises(InputError, match=message):
        weights.read(name, shape)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    save_file({"w": WEIGHT.to(torch.int8)}, tmp_path / "model.safetensors")
    with WeightsReader(tmp_path, torch.float32) as weights, pytest.raises(InputError, match="int8"):
        weights.read("w", (4, 6))


def plan_for(model: Model, **changes: str | None) -> Plan:
    return make_plan(model.model_copy(update=changes), [((0, 4), (1,))])


def test_the_folder_that_the_plan_names_is_used(llama: Path, llama_model: Model) -> None:
    assert find_model_folder(plan_for(llama_model), None) == llama


def test_a_folder_that_is_given_beats_the_planned_one(folder: Path, llama_model: Model) -> None:
    digest = hashlib.sha256(b"{}").hexdigest()
    plan = plan_for(llama_model, config_sha256=digest)
    assert find_model_folder(plan, folder) == folder


def test_a_plan_without_a_hash_takes_any_config(folder: Path, llama_model: Model) -> None:
    assert find_model_folder(plan_for(llama_model, config_sha256=None), folder) == folder


def test_a_changed_config_is_refused(folder: Path, llama_model: Model) -> None:
    with pytest.raises(InputError, match="config.json: sha256 .* the plan was made for") as error:
        find_model_folder(plan_for(llama_model), folder)
    assert error.value.hint is not None
    assert "solve again" in error.value.hint


def test_a_plan_without_a_folder_asks_for_one(llama_model: Model) -> None:
    with pytest.raises(InputError, match="names no folder") as error:
        find_model_folder(plan_for(llama_model, path=None), None)
    assert error.value.hint is not None
    assert "--model-folder" in error.value.hint


def test_a_folder_that_is_none_is_refused(tmp_path: Path, llama_model: Model) -> None:
    with pytest.raises(InputError, match="has no config.json"):
        find_model_folder(plan_for(llama_model), tmp_path / "gone")


def test_a_folder_with_pickled_weights_only_is_refused(tmp_path: Path, llama_model: Model) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    plan = plan_for(llama_model, config_sha256=None)
    with pytest.raises(InputError, match="has neither model.safetensors nor") as error:
        find_model_folder(plan, tmp_path)
    assert error.value.hint is not None
    assert "only safetensors" in error.value.hint
