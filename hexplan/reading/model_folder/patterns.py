"""Lists of modules in a quantisation config: which modules a list names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_MOST_CHARACTERS = 300
_MOST_REPEATS = 4
"""More than any published list has; each repeat multiplies the time of a match."""
_COMPLEX = re.compile(r"\(\?(?!:)|\)[*+{]|\\[1-9]")
"""Look-around, repeated groups and references, whose matches may take for ever."""
_BOUNDARY = r"(?:(?<=\.)|(?=\.|$))"
_WRAPPED = ("language_model.", "model.language_model.")

Matches = Callable[[str], bool]


class PatternError(ValueError):
    """Raised for a list of modules that cannot be understood."""


@dataclass(frozen=True, slots=True)
class ModuleList:
    """Modules that a config names, in one of three notations."""

    matchers: tuple[Matches, ...] = ()

    def has(self, name: str) -> bool:
        """Say whether the list names a module, as it is called alone or inside a wrapper."""
        inner = name.removeprefix("model.")
        names = (name, f"{_WRAPPED[0]}{name}", f"{_WRAPPED[1]}{inner}")
        return any(matches(spelled) for matches in self.matchers for spelled in names)


def of_transformers(entries: object) -> ModuleList:
    """Read `modules_to_not_convert` as transformers does: a path's start, a regex, or its end."""
    return ModuleList(tuple(map(_start_or_end, _texts(entries))))


def of_compressed_tensors(entries: object) -> ModuleList:
    """Read `targets` or `ignore` of compressed-tensors: names, `re:` and a regex, or classes."""
    return ModuleList(tuple(map(_name_or_class, _texts(entries))))


def of_wildcards(entries: object) -> ModuleList:
    """Read `exclude_modules` of ModelOpt: names and their ends, with `*` for anything."""
    return ModuleList(tuple(map(_wildcard, _texts(entries))))


def of_regexes(entries: object) -> ModuleList:
    """Read regexes that match from the start of a name, as GPTQModel does."""
    return ModuleList(tuple(_compiled(text) for text in _texts(entries)))


def _texts(entries: object) -> Sequence[str]:
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        message = "needed a list of names of modules"
        raise PatternError(message)
    return entries


def _start_or_end(text: str) -> Matches:
    matches = _compiled(f"(?:{text}){_BOUNDARY}", checked=text)
    return lambda name: matches(name) or name.endswith(text)


def _name_or_class(text: str) -> Matches:
    if text.startswith("re:"):
        return _compiled(text.removeprefix("re:"))
    if text == "Linear":
        return lambda name: not name.endswith("embed_tokens")
    return lambda name: name == text


def _wildcard(text: str) -> Matches:
    _require_simple(text)
    return lambda name: fnmatchcase(name, text) or fnmatchcase(name, f"{text}.*")


def _compiled(pattern: str, checked: str | None = None) -> Matches:
    _require_simple(pattern if checked is None else checked)
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        message = "found a pattern that is no regular expression"
        raise PatternError(message) from error
    return lambda name: compiled.match(name) is not None


def _require_simple(text: str) -> None:
    """Refuse patterns that may take for ever: a config may come from anybody."""
    repeats = len(re.findall(r"[*+{]", text))
    if len(text) > _MOST_CHARACTERS or repeats > _MOST_REPEATS or _COMPLEX.search(text):
        message = "found a pattern that is too complex, needed a simple one"
        raise PatternError(message)
