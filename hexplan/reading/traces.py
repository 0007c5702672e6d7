"""Lengths of requests from a trace: CSV of Azure's form, or JSON lines of Mooncake's."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded
from hexplan.wording import found
from hexplan.workload import Lengths

MAX_BYTES = 256 << 20
"""The largest trace that is read; the public ones have a few MB."""
MAX_TOKENS = 100_000_000
"""The most tokens of one side of a request; as in a cluster.yaml."""
CSV_COLUMNS = ("ContextTokens", "GeneratedTokens")
JSON_FIELDS = ("input_length", "output_length")
_FORMS = (
    f"a CSV with the columns `{CSV_COLUMNS[0]}` and `{CSV_COLUMNS[1]}`, or JSON lines with"
    f" `{JSON_FIELDS[0]}` and `{JSON_FIELDS[1]}`"
)


@dataclass(frozen=True, slots=True)
class TraceLengths:
    """Mean and longest lengths over all requests of a trace."""

    prompt: Lengths
    output: Lengths


def read_trace(path: Path) -> TraceLengths:
    """Return the lengths in a trace; means are rounded to whole tokens, and are at least 1.

    Raises
    ------
    InputError
        If the file cannot be read, is of neither form, or has a row without two token counts.
    """
    text = read_bounded(path, MAX_BYTES)
    rows = _json_rows if text.lstrip().startswith("{") else _csv_rows
    pairs = list(rows(text, path))
    if not pairs:
        raise SpecError(str(path), "found no request", hint=f"a trace is {_FORMS}")
    prompts, outputs = zip(*pairs, strict=True)
    return TraceLengths(_lengths(prompts), _lengths(outputs))


def _lengths(counts: tuple[int, ...]) -> Lengths:
    mean = max(1, round(sum(counts) / len(counts)))
    return Lengths(mean=mean, max=max(mean, *counts))


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, int]]:
    reader = csv.DictReader(text.splitlines())
    if not set(CSV_COLUMNS) <= set(reader.fieldnames or ()):
        # The columns are not quoted: a cluster.yaml can name any file as its trace.
        what = "other columns" if reader.fieldnames else "no columns"
        raise _fault(path, 1, f"found {what}, needed {_FORMS}")
    for row in reader:
        prompt, output = (_count(row[name], path, reader.line_num, name) for name in CSV_COLUMNS)
        yield prompt, output


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, int]]:
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _fault(path, line, "not JSON, needed one object a line") from error
        if not isinstance(row, dict):
            raise _fault(path, line, f"found {found(row)}, needed one object a line")
        prompt, output = (_count(row.get(name), path, line, name) for name in JSON_FIELDS)
        yield prompt, output


def _fault(path: Path, line: int, problem: str) -> SpecError:
    where = f"{path}:{line}"
    return SpecError(where, problem)


def _count(value: object, path: Path, line: int, name: str) -> int:
    text = str(value).strip()
    is_count = not isinstance(value, bool) and text.isascii() and text.isdigit()
    if not is_count or len(text) > len(str(MAX_TOKENS)) or int(text) > MAX_TOKENS:
        problem = f"{name}: found {found(value)}, needed a count of tokens, at most {MAX_TOKENS}"
        raise _fault(path, line, problem)
    return int(text)
