"""The events of a YAML text: where collections begin and end, scalars and aliases.

PyYAML has two parsers. That of libyaml is ten times as fast, but words its errors in another way,
and some builds of PyYAML lack it. So PyYAML's own parser reads what the fast one refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from hexplan.errors import SpecError

_NEWLINE = "\n"
_QUOTE_RANGES = 'inside brackets and braces, put a range in quotes: `["a-[0-3]", b]`'
_HINTS = {
    "expected ',' or ']', but got '['": _QUOTE_RANGES,
    "expected ',' or '}', but got '['": _QUOTE_RANGES,
    "mapping values are not allowed here": (
        "check the indentation, and put quotes around text that contains `: `"
    ),
    "found character '\\t' that cannot start any token": "indent with spaces, not with tabs",
    "could not find expected ':'": "a field is `name: value`, with a space after the colon",
}


class FastParserFailed(Exception):
    """Raised where libyaml refuses a text; PyYAML's own parser then decides."""


def fast_events(text: str) -> Iterator[yaml.Event]:
    """Yield the events of a text by the parser of libyaml.

    Raises
    ------
    FastParserFailed
        If it refuses the text, or is not there.
    """
    if not yaml.__with_libyaml__:
        raise FastParserFailed
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise FastParserFailed from error


def plain_events(text: str, file: str) -> Iterator[yaml.Event]:
    """Yield the events of a text by PyYAML's own parser; `file` names it in errors.

    Raises
    ------
    SpecError
        If the text is not YAML.
    """
    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _at_mark(error, file) from error
    except yaml.reader.ReaderError as error:
        where = f"{file}:{text.count(_NEWLINE, 0, error.position) + 1}"
        needed = "needed printable text"
        problem = f"found the character {chr(error.character)!r}, {needed}"
        raise SpecError(where, problem, needed=needed) from error
    except (ValueError, OverflowError) as error:  # PyYAML lets these pass
        raise SpecError(file, f"not YAML: {error}", needed="needed YAML") from error


def _at_mark(error: yaml.MarkedYAMLError, file: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    where = f"{file}:{mark.line + 1 if mark else 1}"
    return SpecError(where, problem, hint=_HINTS.get(problem), needed="needed YAML")
