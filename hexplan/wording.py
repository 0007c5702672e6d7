"""Wording that messages share: what was found, where, and which name was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""A place in a file: names of fields, and indices in lists, from the top."""

TOGETHER_HINT = (
    "solve again with `limits: {phases: together}`; `hexplan simulate` runs plans of both kinds"
)
"""What helps where a plan prefills and decodes on different stages and may not."""

_SHOWN_CHARACTERS = 60


def found(value: object) -> str:
    """Return a short, printable description of a value from a file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def path_text(path: KeyPath) -> str:
    """Return a path as people write it: `hosts[0].devices`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def close_names(name: str, known: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """Return the known names that look like `name`, best first, whatever their case."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.6)
    return tuple(by_folded[match] for match in matches)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with known names close to `name`, else with all names if few, else None."""
    known = tuple(known)
    close = close_names(name, known)
    if close:
        return f"did you mean {join_or(close)}?"
    return f"known here: {', '.join(known)}" if 0 < len(known) <= 20 else None


def join_or(names: Iterable[str]) -> str:
    """Join names in backticks with commas and a final `or`."""
    *head, last = [f"`{name}`" for name in names]
    return f"{', '.join(head)} or {last}" if head else last
