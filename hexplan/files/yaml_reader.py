"""Read YAML as data: YAML 1.2 core scalars, no tags, no duplicate keys, and within bounds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import yaml

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded
from hexplan.files.yaml_events import FastParserFailed, fast_events, plain_events
from hexplan.wording import KeyPath, found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

YamlValue: TypeAlias = "None | bool | int | float | str | list[YamlValue] | dict[str, YamlValue]"

MAX_BYTES = 32 << 20
"""Of a file: about as much as `MAX_VALUES` values of an ordinary length take."""
MAX_VALUES = 1_000_000
"""Of a file: a rule for a pair of hosts has six, so these are enough for 100,000 pairs. Each takes
about 10 us and 0.5 kB while it is read: 10 s and 0.5 GB for all of them."""
MAX_REPEATED = 50_000
"""Values that all aliases together stand for. Aliases are for a few lines of reuse; without a limit
of their own, a hundred of them could repeat a large file a hundred times."""
MAX_DEPTH = 32
"""Of nesting: no field of any file is a third as deep, and Python's stack holds it."""
MAX_ALIASES = 100
MAX_DIGITS = 18
"""Of a whole number: it then fits into 64 bits."""

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_VALUES = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)
_PLAIN_STARTS = frozenset("+-.0123456789~nNtTfF")
"""What a scalar without quotes begins with if it is more than text."""


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


def parse_yaml(text: str, file: str, max_values: int = MAX_VALUES) -> YamlDocument:
    """Return the one mapping that a YAML text holds; `file` names it in errors.

    Parameters
    ----------
    max_values
        The most keys, list entries and aliases that the text may have, all together.

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
    try:
        tree, data = _tree(text, file, max_values)
    except _Refusal as error:
        raise error.at(file) from error
    if not isinstance(data, dict):
        needed = "needed a mapping of `name: value` lines"
        problem = "the file is empty" if data is None else f"found {found(data)}"
        raise SpecError(first_line, f"{problem}, {needed}", needed=needed)
    return YamlDocument(data, tree.lines)


class _Refusal(Exception):
    """Raised for YAML that is well formed, but not accepted."""

    def __init__(
        self, event: yaml.Event, problem: str, needed: str, hint: str | None = None
    ) -> None:
        super().__init__(problem)
        self._line = _line(event)
        self._problem = problem
        self._needed = f"needed {needed}"
        self._hint = hint

    def at(self, file: str) -> SpecError:
        """Return the error that names the place in a file."""
        problem = f"{self._problem}, {self._needed}"
        return SpecError(f"{file}:{self._line}", problem, hint=self._hint, needed=self._needed)


def _tree(text: str, file: str, max_values: int) -> tuple[_Tree, YamlValue]:
    """Read a text with the fast parser, or with the other one if that refuses it."""
    try:
        tree = _Tree(fast_events(text), max_values)
        return tree, tree.document()
    except FastParserFailed:
        tree = _Tree(plain_events(text, file), max_values)
        return tree, tree.document()


class _Tree:
    """Builds values from events without tags, within bounds, and records their lines."""

    def __init__(self, events: Iterator[yaml.Event], max_values: int) -> None:
        self.lines: dict[KeyPath, int] = {}
        """Of each key and list entry, by its path."""
        self._events, self._max_values = events, max_values
        self._anchors: dict[str, list[yaml.Event]] = {}
        """The events of the values that aliases may repeat."""
        self._open: dict[str, list[yaml.Event]] = {}
        """The same of values that have not ended yet."""
        self._aliases = self._repeated = 0
        self._is_repeating = False

    def document(self) -> YamlValue:
        """Return the value of the only document; None if there is none."""
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        value = self._value(self._next(), ())
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            hint = "remove the line `---` in the middle of the file"
            raise _Refusal(after, "found another document", "only one", hint)
        return value

    def _next(self) -> yaml.Event:
        event = next(self._events)
        if self._open and not self._is_repeating:
            for events in self._open.values():
                events.append(event)
        return event

    def _value(self, event: yaml.Event, path: KeyPath) -> YamlValue:
        """Return the value that an event begins, at a path."""
        self.lines.setdefault(path, _line(event))
        self._count(event, path)
        if isinstance(event, yaml.AliasEvent):
            return self._repeat(event, path)
        if not isinstance(event, _VALUES):
            raise _Refusal(event, "found no value", "one")
        if event.tag is not None:
            raise _Refusal(event, f"found the tag {found(event.tag)}", "plain values")
        anchor = None if self._is_repeating else event.anchor
        if anchor is not None:
            self._open_anchor(event, anchor)
        value: YamlValue
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        if anchor is not None:
            self._anchors[anchor] = self._open.pop(anchor)
        return value

    def _count(self, event: yaml.Event, path: KeyPath) -> None:
        self._repeated += self._is_repeating
        if self._repeated > MAX_REPEATED:
            raise _Refusal(event, f"found more than {MAX_REPEATED} values by aliases", "fewer")
        if len(self.lines) - self._repeated > self._max_values:
            raise _Refusal(event, f"found more than {self._max_values} values", "fewer")
        if len(path) == MAX_DEPTH:
            raise _Refusal(event, f"nested more than {MAX_DEPTH} deep", "fewer levels")

    def _open_anchor(self, event: yaml.Event, anchor: str) -> None:
        """Keep the events of a value from now on, until it ends."""
        if anchor in self._anchors or anchor in self._open:
            problem = f"found the second occurrence of the anchor '{anchor}'"
            raise _Refusal(event, problem, "each anchor once", "give it another name")
        self._open[anchor] = [event]

    def _repeat(self, event: yaml.AliasEvent, path: KeyPath) -> YamlValue:
        """Return the value that an alias repeats."""
        name = event.anchor
        if name in self._open:
            raise _Refusal(event, "found an alias to itself", "plain values")
        if name not in self._anchors:
            raise _Refusal(event, f"found the undefined alias '{name}'", "an anchor before it")
        self._aliases += not self._is_repeating
        if self._aliases > MAX_ALIASES:
            raise _Refusal(event, f"found more than {MAX_ALIASES} aliases", "fewer")
        outer = self._events, self._is_repeating
        self._events, self._is_repeating = iter(self._anchors[name]), True
        value = self._value(next(self._events), path)
        self._events, self._is_repeating = outer
        return value

    def _sequence(self, path: KeyPath) -> YamlValue:
        items: list[YamlValue] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> YamlValue:
        mapping: dict[str, YamlValue] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event)
            if key in mapping:
                line = self.lines[*path, key]
                problem = f"found the field {found(key)} again, first at line {line}"
                raise _Refusal(event, problem, "each field once", "keep one of them")
            self.lines[*path, key] = _line(event)
            mapping[key] = self._value(self._next(), (*path, key))
        return mapping

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent) or not event.value:
            raise _Refusal(event, "found no name", "a name before the colon")
        if event.tag is not None:
            raise _Refusal(event, f"found the tag {found(event.tag)}", "plain values")
        return _text(event)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _scalar(event: yaml.ScalarEvent) -> YamlValue:
    text = _text(event)
    if event.style or (text and text[0] not in _PLAIN_STARTS):
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise _Refusal(event, f"found {found(text)}", f"at most {MAX_DIGITS} digits")
        return int(text)
    number = float(text) if _FLOAT.fullmatch(text) else 0.0
    if _NOT_FINITE.fullmatch(text) or math.isinf(number):
        raise _Refusal(event, f"found {found(text)}", "a finite number")
    return number if _FLOAT.fullmatch(text) else text


def _text(event: yaml.ScalarEvent) -> str:
    """Return the text of a scalar; an escape may stand for what UTF-8 cannot encode."""
    text: str = event.value
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Refusal(event, f"found {found(text)}", "Unicode text") from error
    return text
