"""Lists of modules in a quantisation config: which modules a list names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_MOST_CHARACTERS = 300
_MOST_REPEATS = 4
"""More than any published list has; each repeat multiplies the time of a match."""
_COMPLEX = re.compile(r"\(\?(?!:)|\)[*+{]|\\[1-9]")
"""Look-around, repeated groups and references, whose matches may take for ever."""
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*")
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
    plain, others = _split(_texts(entries))

    def is_listed(name: str) -> bool:
        ends = (name[first:] for first in range(len(name) + 1))
        return any(end in plain for end in ends) or any(p in plain for p in _starts(name))

    return ModuleList((is_listed, *map(_start_or_end, others)))


def of_compressed_tensors(entries: object) -> ModuleList:
    """Read `targets` or `ignore` of compressed-tensors: names, `re:` and a regex, or classes."""
    texts = _texts(entries)
    names = frozenset(text for text in texts if not text.startswith("re:"))
    regexes = (text.removeprefix("re:") for text in texts if text.startswith("re:"))

    def is_listed(name: str) -> bool:
        return name in names or ("Linear" in names and not name.endswith("embed_tokens"))

    return ModuleList((is_listed, *map(_compiled, regexes)))


def of_wildcards(entries: object) -> ModuleList:
    """Read `exclude_modules` of ModelOpt: modules with all inside, with `*` for anything."""
    plain, others = _split(_texts(entries))

    def is_listed(name: str) -> bool:
        return any(start in plain for start in _starts(name))

    return ModuleList((is_listed, *map(_wildcard, others)))


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


def _split(texts: Sequence[str]) -> tuple[frozenset[str], list[str]]:
    """Separate plain names from patterns: lists of many thousand names are looked up in a set."""
    plain = frozenset(text for text in texts if _PLAIN.fullmatch(text))
    return plain, [text for text in texts if text not in plain]


def _starts(name: str) -> Iterator[str]:
    """Yield the starts of a path up to each dot, without it and with it, and the whole path."""
    for dot in re.finditer(r"\.", name):
        yield name[: dot.start()]
        yield name[: dot.end()]
    yield name


def _start_or_end(text: str) -> Matches:
    matches = _compiled(f"(?:{text}){_BOUNDARY}", checked=text)
    return lambda name: matches(name) or name.endswith(text)


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
