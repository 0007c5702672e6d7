"""Read YAML as data: YAML 1.2 core scalars, no tags, no duplicate keys, and within bounds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import yaml

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded
from hexplan.wording import KeyPath, found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

YamlValue: TypeAlias = "None | bool | int | float | str | list[YamlValue] | dict[str, YamlValue]"

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 50_000
MAX_ALIASES = 100
MAX_DIGITS = 18

_NEWLINE = "\n"
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_QUOTE_RANGES = 'inside brackets and braces, put a range in quotes: `["a-[0-3]", b]`'
_HINTS = {
    "expected ',' or ']', but got '['": _QUOTE_RANGES,
    "expected ',' or '}', but got '['": _QUOTE_RANGES,
    "mapping values are not allowed here": (
        "check the indentation, and put quotes around text that contains `: `"
    ),
    "found character '\\t' that cannot start any token": "indent with spaces, not with tabs",
    "could not find expected ':'": "a field is `name: value`, with a space after the colon",
    "but found another document": "remove the line `---` in the middle of the file",
}


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A mapping read from a file, and the line of each of its parts."""

    data: dict[str, YamlValue]
    """Mappings, lists and scalars; keys are always text."""
    lines: Mapping[KeyPath, int]
    """The line of each key and list entry by its path from the top, counted from 1."""


def read_yaml(path: Path) -> YamlDocument:
    """Return the one mapping that a YAML file holds."""
    return parse_yaml(read_bounded(path, MAX_BYTES), str(path))


def reads_as_text(scalar: str) -> bool:
    """Say whether a scalar without quotes is text, and neither a number, a boolean nor nothing."""
    numbers = (_INT, _FLOAT, _NOT_FINITE)
    is_word = scalar in _NULLS or scalar in _BOOLS
    return not is_word and not any(number.fullmatch(scalar) for number in numbers)


def parse_yaml(text: str, file: str) -> YamlDocument:
    """Return the one mapping that a YAML text holds; `file` names it in errors.

    Raises
    ------
    SpecError
        If the text is not YAML, or breaks one of the bounds above.
    """
    first_line = f"{file}:1"
    if text.startswith("\N{BYTE ORDER MARK}"):
        needed, hint = "needed plain UTF-8", "save it without BOM"
        problem = f"found a byte order mark, {needed}"
        raise SpecError(first_line, problem, hint=hint, needed=needed)
    tree = _Tree()
    try:
        root = _compose(text)
        data = None if root is None else tree.build(root, ())
    except _Refusal as error:
        raise error.at(file) from error
    except yaml.MarkedYAMLError as error:
        raise _at_mark(error, file) from error
    except yaml.reader.ReaderError as error:
        where = f"{file}:{text.count(_NEWLINE, 0, error.position) + 1}"
        needed = "needed printable text"
        problem = f"found the character {chr(error.character)!r}, {needed}"
        raise SpecError(where, problem, needed=needed) from error
    except (ValueError, OverflowError) as error:  # PyYAML lets these pass
        raise SpecError(file, f"not YAML: {error}", needed="needed YAML") from error
    if not isinstance(data, dict):
        needed = "needed a mapping of `name: value` lines"
        problem = "the file is empty" if data is None else f"found {found(data)}"
        raise SpecError(first_line, f"{problem}, {needed}", needed=needed)
    return YamlDocument(data, tree.lines)


class _Refusal(Exception):
    """Raised for YAML that is well formed, but not accepted."""

    def __init__(
        self, node: yaml.Node | yaml.Event, problem: str, needed: str, hint: str | None = None
    ) -> None:
        super().__init__(problem)
        self._line = node.start_mark.line + 1 if node.start_mark else 1
        self._problem = problem
        self._needed = f"needed {needed}"
        self._hint = hint

    def at(self, file: str) -> SpecError:
        """Return the error that names the place in a file."""
        problem = f"{self._problem}, {self._needed}"
        return SpecError(f"{file}:{self._line}", problem, hint=self._hint, needed=self._needed)


class _BoundedLoader(yaml.SafeLoader):
    """Composes nodes without tags, with few aliases and little depth, and constructs nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._aliases = 0
        self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next node within the bounds."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._values += 1
        if self._values > 2 * MAX_VALUES:  # names count here, too
            raise _Refusal(event, f"found more than {MAX_VALUES} values", "fewer")
        self._aliases += isinstance(event, yaml.AliasEvent)
        if self._aliases > MAX_ALIASES:
            raise _Refusal(event, f"found more than {MAX_ALIASES} aliases", "fewer")
        if getattr(event, "tag", None) is not None:
            raise _Refusal(event, f"found the tag {found(event.tag)}", "plain values")
        if self._depth == MAX_DEPTH:
            raise _Refusal(event, f"nested more than {MAX_DEPTH} deep", "fewer levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _compose(text: str) -> yaml.Node | None:
    loader = _BoundedLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Tree:
    """Builds values from nodes, and records their lines."""

    lines: dict[KeyPath, int] = field(default_factory=dict)

    def build(self, node: yaml.Node, path: KeyPath) -> YamlValue:
        """Return the value of a node at a path."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(self.lines) > MAX_VALUES:
            raise _Refusal(node, f"found more than {MAX_VALUES} values", "fewer")
        if len(path) > MAX_DEPTH:
            raise _Refusal(node, "found an alias to itself or a deep one", "plain values")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: yaml.Node, path: KeyPath) -> YamlValue:
        mapping: dict[str, YamlValue] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            if key in mapping:
                line = self.lines[*path, key]
                problem = f"found the field {found(key)} again, first at line {line}"
                raise _Refusal(key_node, problem, "each field once", "keep one of them")
            self.lines[*path, key] = key_node.start_mark.line + 1
            mapping[key] = self.build(value_node, (*path, key))
        return mapping


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _Refusal(node, "found no name", "a name before the colon")
    return _text(node)


def _scalar(node: yaml.ScalarNode) -> YamlValue:
    text = _text(node)
    if node.style is not None:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise _Refusal(node, f"found {found(text)}", f"at most {MAX_DIGITS} digits")
        return int(text)
    number = float(text) if _FLOAT.fullmatch(text) else 0.0
    if _NOT_FINITE.fullmatch(text) or math.isinf(number):
        raise _Refusal(node, f"found {found(text)}", "a finite number")
    return number if _FLOAT.fullmatch(text) else text


def _text(node: yaml.ScalarNode) -> str:
    """Return the text of a scalar; an escape may stand for what UTF-8 cannot encode."""
    text: str = node.value
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Refusal(node, f"found {found(text)}", "Unicode text") from error
    return text


def _at_mark(error: yaml.MarkedYAMLError, file: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    where = f"{file}:{mark.line + 1 if mark else 1}"
    return SpecError(where, problem, hint=_HINTS.get(problem), needed="needed YAML")
