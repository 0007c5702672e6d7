"""Which files of a model folder the stages of a host need."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan.reading.model_folder.headers import CONFIG_NAME, INDEX, SINGLE, weight_file_names
from hexplan_runtime.model.model_files import Place

if TYPE_CHECKING:
    from hexplan.plan import Plan

_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_BESIDE: Final = (".json", ".model", ".txt", ".jinja", ".tiktoken")
"""Ends of the names of files beside weights: configs and tokenizers."""
_MOST_BYTES: Final = 256 << 20


def needed_weights(
    plan: Plan, stages: Collection[int], places: Mapping[str, Place]
) -> frozenset[str]:
    """Return the names of the files with weights that some stages read.

    Weights outside of layers (tables, norms, the head) count for stages with the first or the last
    layer; a file is needed if any of its weights is.

    Parameters
    ----------
    stages
        Indices of stages in the plan.
    """
    return frozenset(
        place.file.name for name, place in places.items() if _is_needed(plan, stages, name)
    )


def require_layers(held: Iterable[Range], places: Mapping[str, Place]) -> None:
    """Refuse a folder that has no weight of some layer in these ranges.

    Raises
    ------
    InputError
        Layers are missing; the message names them.
    """
    here = {layer for name in places if (layer := _layer(name)) is not None}
    missing = sorted({layer for layers in held for layer in range(*layers)} - here)
    if here and missing:
        folder = next(iter(places.values())).file.parent
        message = f"{folder}: found no weights of layers {', '.join(map(str, missing))}"
        raise InputError(message, hint=PUSH_HINT)


PUSH_HINT: Final = (
    "`hexplan hosts prepare PLAN --push-weights` copies the files that the host's stages need"
)


def missing_files(folder: Path) -> tuple[str, ...]:
    """Return the names of files that a model folder lacks; what it cannot do without at least."""
    names = (CONFIG_NAME, *(weight_file_names(folder) or (SINGLE,)))
    return tuple(name for name in names if not (folder / name).is_file())


def files_beside(folder: Path) -> tuple[Path, ...]:
    """Return the files of a model folder beside its weights."""
    found = (path for path in sorted(folder.iterdir()) if path.suffix in _BESIDE)
    return tuple(
        path
        for path in found
        if path.name != INDEX
        and not path.name.startswith(".")
        and path.is_file()
        and path.stat().st_size <= _MOST_BYTES
    )


def _is_needed(plan: Plan, stages: Collection[int], name: str) -> bool:
    layer = _layer(name)
    held = [plan.stages[index].layers for index in stages]
    if layer is None:
        return any(first == 0 or end == plan.model.layers for first, end in held)
    return any(first <= layer < end for first, end in held)


def _layer(name: str) -> int | None:
    match = _LAYER.search(name)
    return None if match is None else int(match[1])
