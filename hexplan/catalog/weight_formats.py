"""The formats of quantised weights, by the names that people use."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from hexplan.frozen_model import FrozenModel
from hexplan.model import WeightFormat

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Row(FrozenModel):
    """One format in data/weight_formats.json."""

    name: str
    aliases: tuple[str, ...]
    bits_per_weight: Decimal
    """What its source says, scales and zero points included."""
    source: str
    format: WeightFormat


class _File(FrozenModel):
    """All of data/weight_formats.json."""

    comment: str
    formats: tuple[_Row, ...]


def find_format(name: str) -> WeightFormat | None:
    """Return the format of this name or alias, whatever its case, or None if it is unknown."""
    row = _rows().get(_folded(name))
    if row is None:
        return None
    label = None if row.name == row.format.name else row.name
    return row.format.model_copy(update={"label": label})


def known_formats() -> tuple[str, ...]:
    """Return the names of all formats, without their aliases."""
    return tuple(row.name for row in _file().formats)


def _folded(name: str) -> str:
    """Return a name without case; GGUF names have `_` where others have `-`."""
    return name.casefold().replace("-", "_")


@cache
def _rows() -> Mapping[str, _Row]:
    rows = _file().formats
    return {_folded(name): row for row in rows for name in (row.name, *row.aliases)}


@cache
def _file() -> _File:
    data = resources.files("hexplan.catalog").joinpath("data", "weight_formats.json")
    return _File.model_validate_json(data.read_text("utf-8"))
