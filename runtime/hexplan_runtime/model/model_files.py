"""The model folder: which file holds which weight, and whether it is the model that was planned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from hexplan.errors import InputError
from hexplan.files.bounded import read_bounded
from hexplan.reading.model_folder.headers import (
    CONFIG_NAME,
    INDEX,
    MAX_CONFIG_BYTES,
    SINGLE,
    weight_file_names,
)

if TYPE_CHECKING:
    from hexplan.plan import Plan

_ADAPTER = "adapter_config.json"
_ONLY_SAFETENSORS = "only safetensors weights are read; convert others with `save_pretrained`"
_INCOMPLETE = "the download may be incomplete"
_PREFIX = "model."
_INSIDE = "language_model."
"""Begins the names of a text model's weights inside a wrapper."""
_UNPREFIXED = ("embed_tokens.", "layers.", "norm.")
"""Names in files that were saved from a model without its head lack the prefix."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a weight is stored."""

    file: Path
    name: str
    """Its name in the file."""


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
    return check_model_folder(folder or Path(plan.model.path or ""), plan.model.config_sha256)


def check_model_folder(folder: Path, config_sha256: str | None) -> Path:
    """Return a folder as an absolute path, after a check that it has the planned model.

    Raises
    ------
    InputError
        There is no such folder, it lacks weights, or its config.json has changed.
    """
    place = folder.absolute()
    config = place / CONFIG_NAME
    if not config.is_file():
        message = f"{place}: not a model folder, it has no {CONFIG_NAME}"
        raise InputError(message, hint="download the model first, then give its folder")
    _check_hash(config, config_sha256)
    if (place / _ADAPTER).is_file():
        message = f"{place / _ADAPTER}: found an adapter, which the runtime does not apply"
        raise InputError(message, hint="merge it into the weights, or remove the file")
    place_weights(place)
    return place


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files with a folder's weights, all of which exist.

    Raises
    ------
    InputError
        There are none, one is missing, or the index names other things.
    """
    names = weight_file_names(folder)
    if not names:
        message = f"{folder}: has neither {SINGLE} nor {INDEX}"
        raise InputError(message, hint=_ONLY_SAFETENSORS)
    for name in names:
        if not (folder / name).is_file():
            message = f"{folder / INDEX}: weight file {name!r} is missing"
            raise InputError(message, hint=_INCOMPLETE)
    return tuple(folder / name for name in names)


def place_weights(folder: Path) -> Mapping[str, Place]:
    """Return where each weight is, by the name that the model gives it.

    The files count, whatever an index says of them.

    Raises
    ------
    InputError
        A file is not whole, or a weight is there twice.
    """
    places: dict[str, Place] = {}
    for file in weight_files(folder):
        for stored in _names(file):
            place, name = Place(file, stored), _full_name(stored)
            if name in places:
                other = places[name]
                message = f"{file}: {stored}: found it as {other.name} in {other.file.name}, too"
                raise InputError(message)
            places[name] = place
    return places


def _names(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="numpy") as opened:  # names alone, without reading torch
            return list(opened.keys())
    except (SafetensorError, OSError) as error:
        message = f"{file}: {error}"
        raise InputError(message, hint=_INCOMPLETE) from error


def _full_name(stored: str) -> str:
    name = stored.removeprefix(f"{_PREFIX}{_INSIDE}").removeprefix(_INSIDE)
    return f"{_PREFIX}{name}" if name.startswith(_UNPREFIXED) else name


def _check_hash(config: Path, planned: str | None) -> None:
    digest = hashlib.sha256(read_bounded(config, MAX_CONFIG_BYTES).encode()).hexdigest()
    if planned is not None and digest != planned:
        message = f"{config}: sha256 {digest}, the plan was made for {planned}"
        raise InputError(message, hint="the config changed after the plan was made; solve again")
