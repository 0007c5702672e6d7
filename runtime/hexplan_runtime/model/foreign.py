"""Files of a model folder that transformers reads: whatever it refuses is the user's to mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from hexplan.errors import InputError, SpecError
from hexplan.files.bounded import read_bounded
from hexplan.files.json_reader import parse_json

_Value = TypeVar("_Value")
_MOST_BYTES = 16 << 20
_MOST_CHARACTERS = 300
_FIELD = re.compile(r"[Ff]ield '(?P<field>\w+)'")
"""How errors of strict configs name a field."""


def reading(
    file: Path,
    read: Callable[[], _Value],
    again: Callable[[Mapping[str, object]], object] | None = None,
    field: str | None = None,
) -> _Value:
    """Return what transformers reads from a file.

    Parameters
    ----------
    again
        Reads some of the file's fields, to find which of them is wrong.
    field
        The field at fault, if only one can be.

    Raises
    ------
    InputError
        If transformers refuses the file; it raises anything then. Names the file, and the field if
        it can be found.
    """
    try:
        return read()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        if field is None and again is not None:
            field = _culprit(file, str(error), again)
        where = f"{file}: {field}" if field else f"{file}"
        message = f"{where}: transformers cannot read it: {reason(error)}"
        raise InputError(message) from error


def reason(error: BaseException) -> str:
    """Return in one line what a foreign error says; a bare text may be the name of a key."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[1:] if len(lines) > 1 and lines[0].endswith(":") else lines)
    named = text if " " in text else f"{type(error).__name__}: {text}"
    return named if len(named) <= _MOST_CHARACTERS else f"{named[:_MOST_CHARACTERS]}..."


def read_fields(file: Path, limit_bytes: int = _MOST_BYTES) -> Mapping[str, object]:
    """Return the fields of a JSON file of at most `limit_bytes`.

    Raises
    ------
    InputError
        If it cannot be read, or is no JSON object.
    """
    values = parse_json(read_bounded(file, limit_bytes), str(file), allow_infinity=True)
    if not isinstance(values, dict):
        raise SpecError(str(file), "needed an object with fields")
    return values


def _culprit(file: Path, said: str, again: Callable[[Mapping[str, object]], object]) -> str | None:
    """Return the field without which the rest can be read, or else the one that the error names."""
    values = read_fields(file)
    for field in values:
        rest = {name: value for name, value in values.items() if name != field}
        try:
            reading(file, partial(again, rest))
        except InputError:  # this field is not the only wrong one
            continue
        return field
    named = _FIELD.search(said)
    return named["field"] if named else None
