"""Read JSON strictly: no duplicate names, no NaN or Infinity, and within bounds."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from hexplan.errors import SpecError
from hexplan.wording import found

JsonValue: TypeAlias = "None | bool | int | float | str | list[JsonValue] | dict[str, JsonValue]"

MAX_BYTES = 64 << 20
MAX_DEPTH = 64

_LONGEST_NUMBER = 400
"""Characters of a number; the largest finite float has 309 digits."""

_TOKEN = re.compile(
    r'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<name>\s*:)?'
    r"|(?P<open>[\[{])|(?P<close>[\]}])"
    r"|(?P<word>-?(?:Infinity|NaN|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))",
    re.DOTALL,
)


class _Refusal(ValueError):
    """Raised for JSON that Python accepts and this reader does not; `_first_fault` describes it."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """The first place where a text breaks the rules of this reader."""

    index: int
    """Where, in characters from the start."""
    problem: str
    """What was found there."""
    needed: str
    """What is needed instead."""


def parse_json(text: str, file: str, *, allow_infinity: bool = False) -> JsonValue:
    """Return the value that a JSON text holds; `file` names it in errors.

    Parameters
    ----------
    allow_infinity
        Whether `Infinity` and `NaN` are numbers, as Python writes and reads them.

    Raises
    ------
    SpecError
        If the text is not JSON, repeats a name within an object, holds a number that is not
        finite, or is nested too deeply.
    """
    try:
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=float if allow_infinity else _no_constant,
            parse_float=float if allow_infinity else _finite,
        )
        _check_depth(value, 1)
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}:{error.colno}"
        raise SpecError(where, f"not JSON: {error.msg}", needed="needed JSON") from error
    except (ValueError, RecursionError) as error:
        fault = _first_fault(text) or _Fault(0, "found unreadable JSON", "plain JSON")
        line = text.count("\n", 0, fault.index) + 1
        where = f"{file}:{line}:{fault.index - text.rfind(chr(10), 0, fault.index)}"
        needed = f"needed {fault.needed}"
        raise SpecError(where, f"{fault.problem}, {needed}", needed=needed) from error
    return value


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise _Refusal(pairs)
    return mapping


def _no_constant(word: str) -> float:
    raise _Refusal(word)


def _finite(word: str) -> float:
    number = float(word)
    return number if math.isfinite(number) else _no_constant(word)


def _check_depth(value: JsonValue, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise _Refusal(depth)
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, depth + 1)


def _first_fault(text: str) -> _Fault | None:
    """Return the first fault of a text that is valid JSON up to that place.

    Scanning the text token by token is slow, so this runs only after a refusal.
    """
    names: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        index = token.start()
        if token["open"]:
            names.append(set())
            if len(names) > MAX_DEPTH:
                problem = f"nested more than {MAX_DEPTH} deep"
                return _Fault(index, problem, f"at most {MAX_DEPTH} levels")
        elif token["close"]:
            names.pop()
        elif token["name"]:
            name = json.loads(token["text"])
            if name in names[-1]:
                problem = f"found the name {found(name)} twice in one object"
                return _Fault(index, problem, "each name once in an object")
            names[-1].add(name)
        elif token["word"] and not _is_sound(token["word"]):
            return _Fault(index, f"found {found(token['word'])}", "a finite number")
    return None


def _is_sound(word: str) -> bool:
    return len(word) <= _LONGEST_NUMBER and math.isfinite(float(word))
