"""The model folder: which file holds which weight, and whether it is the model that was planned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hexplan.errors import InputError
from hexplan.plan import Plan

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_INDEX_LIMIT_BYTES = 64 * 2**20
_ONLY_SAFETENSORS = "only safetensors weights are read; convert others with `save_pretrained`"


def find_model_folder(plan: Plan, folder: Path | None) -> Path:
    """Return the folder with the plan's model, after a check that it is the planned one.

    Raises
    ------
    InputError
        There is no such folder, it lacks weights, or its config.json has changed.
    """
    if folder is None and plan.model.path is None:
        message = f"the plan names no folder for {plan.model.name}"
        raise InputError(message, hint="name the folder with its weights: `--model-folder FOLDER`")
    place = (folder or Path(plan.model.path or "")).absolute()
    config = place / "config.json"
    if not config.is_file():
        message = f"{place}: not a model folder, it has no config.json"
        raise InputError(message, hint="download the model first, then give its folder")
    _check_hash(config, plan.model.config_sha256)
    weight_files(place)
    return place


def weight_files(folder: Path) -> dict[str, Path] | Path:
    """Return the file of each weight, or the single file that holds all of them."""
    if (folder / _INDEX).is_file():
        return _read_index(folder / _INDEX)
    if (folder / _SINGLE).is_file():
        return folder / _SINGLE
    message = f"{folder}: has neither {_SINGLE} nor {_INDEX}"
    raise InputError(message, hint=_ONLY_SAFETENSORS)


def _check_hash(config: Path, planned: str | None) -> None:
    found = hashlib.sha256(config.read_bytes()).hexdigest()
    if planned is not None and found != planned:
        message = f"{config}: sha256 {found}, the plan was made for {planned}"
        raise InputError(message, hint="the config changed after the plan was made; solve again")


def _read_index(index: Path) -> dict[str, Path]:
    """Return the file of each weight; names that lead out of the folder are refused."""
    if index.stat().st_size > _INDEX_LIMIT_BYTES:
        message = f"{index}: {index.stat().st_size} bytes, at most {_INDEX_LIMIT_BYTES} are read"
        raise InputError(message)
    try:
        files = json.loads(index.read_bytes())["weight_map"]
        named = {str(weight): str(name) for weight, name in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{index}: not an index of weights: {error!r}"
        raise InputError(message) from error
    return {weight: _in_folder(index, name) for weight, name in named.items()}


def _in_folder(index: Path, name: str) -> Path:
    path = index.parent / name
    if Path(name).name != name or not name.endswith(".safetensors"):
        message = f"{index}: weight file {name!r}, must be a .safetensors file of this folder"
        raise InputError(message, hint=_ONLY_SAFETENSORS)
    if not path.is_file():
        message = f"{index}: weight file {name!r} is missing"
        raise InputError(message, hint="the download may be incomplete")
    return path
