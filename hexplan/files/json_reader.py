"""Read JSON strictly: no duplicate names, no NaN or Infinity, everything bounded."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, TypeAlias

from hexplan.errors import InputError
from hexplan.files.bounded import read_bounded
from hexplan.wording import found

if TYPE_CHECKING:
    from pathlib import Path

JsonValue: TypeAlias = "None | bool | int | float | str | list[JsonValue] | dict[str, JsonValue]"

MAX_BYTES = 64 << 20
MAX_DEPTH = 64

_LONGEST_NUMBER = 400

_TOKEN = re.compile(
    r'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<name>\s*:)?'
    r"|(?P<open>[\[{])|(?P<close>[\]}])"
    r"|(?P<word>-?(?:Infinity|NaN|[0-9][0-9.eE+-]*))",
    re.DOTALL,
)


class _Fault(ValueError):
    """JSON that Python reads, but that is not accepted; `_first_fault` finds the words."""


def read_json(path: Path, limit_bytes: int = MAX_BYTES) -> JsonValue:
    """Return the value that a JSON file holds."""
    return parse_json(read_bounded(path, limit_bytes), str(path))


def parse_json(text: str, file: str) -> JsonValue:
    """Return the value that a JSON text holds; `file` names it in errors."""
    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        _check_depth(value, 1)
    except json.JSONDecodeError as error:
        message = f"{file}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
        raise InputError(message) from error
    except (ValueError, RecursionError) as error:
        index, problem = _first_fault(text) or (0, str(error))
        line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
        message = f"{file}:{line}:{column}: {problem}"
        raise InputError(message) from error
    return value


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise _Fault(pairs)
    return mapping


def _no_constant(word: str) -> float:
    raise _Fault(word)


def _finite(word: str) -> float:
    number = float(word)
    return number if math.isfinite(number) else _no_constant(word)


def _check_depth(value: JsonValue, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise _Fault(depth)
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, depth + 1)


def _first_fault(text: str) -> tuple[int, str] | None:
    """Return where well-formed JSON first breaks these rules, and which; the slow way."""
    names: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        problem = None
        if token["open"]:
            names.append(set())
            if len(names) > MAX_DEPTH:
                problem = f"nested more than {MAX_DEPTH} deep, needed at most that"
        elif token["close"]:
            names.pop()
        elif token["name"]:
            problem = _repeated(token["text"], names[-1])
        elif token["word"] and not _is_sound(token["word"]):
            problem = f"found {found(token['word'])}, needed a finite number"
        if problem:
            return token.start(), problem
    return None


def _repeated(quoted: str, names: set[str]) -> str | None:
    name = json.loads(quoted)
    if name in names:
        return f"found the name {found(name)} twice in one object, needed it once"
    names.add(name)
    return None


def _is_sound(word: str) -> bool:
    return len(word) <= _LONGEST_NUMBER and math.isfinite(float(word))
