"""Read request traces: when requests came, and how many tokens they had."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from hexplan.errors import InputError, SpecError
from hexplan.files.bounded import open_to_read
from hexplan_solver.simulate.params import SIMULATE_PARAMS
from hexplan_solver.simulate.traffic import Arrival

AZURE_FIELDS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
Row = tuple[float, int, int]


def read_trace(path: Path) -> tuple[Arrival, ...]:
    """Return the requests of a trace in the order of time, the first at 0 s.

    The format is told by the first line: the CSV of Azure's public traces (columns TIMESTAMP,
    ContextTokens, GeneratedTokens; timestamps with or without a fraction of a second and a zone,
    UTC where there is none), or Mooncake's JSON lines (timestamp in milliseconds, input_length,
    output_length; hash_ids are left aside, as prefixes are not reused). Either may be gzipped.

    Raises
    ------
    InputError
        If the file cannot be read, or a line is not of that form.
    """
    rows = sorted(_rows(path), key=lambda row: row[0])
    if not rows:
        message = f"{path}: found no requests, needed at least one"
        raise InputError(message)
    first_s = rows[0][0]
    return tuple((round(at_s - first_s, 6), prompt, output) for at_s, prompt, output in rows)


def _rows(path: Path) -> Iterator[Row]:
    lines = _lines(path)
    first = next(lines, "")
    if first.lstrip().startswith("{"):
        yield from _each(path, 1, [first], _mooncake)
        yield from _each(path, 2, lines, _mooncake)
        return
    found = tuple(name.strip() for name in first.split(","))
    if found != AZURE_FIELDS:
        problem = (
            f"found {first.strip()[:60]!r}, needed {','.join(AZURE_FIELDS)!r} or a JSON object"
        )
        where = f"{path}:1"
        raise SpecError(where, problem, hint="Azure's CSV and Mooncake's JSON lines are read")
    yield from _each(path, 2, lines, _azure)


def _lines(path: Path) -> Iterator[str]:
    try:
        with open_to_read(path) as content:
            file = _text(content, is_zipped=path.suffix == ".gz")
            while line := file.readline(SIMULATE_PARAMS.longest_line_chars):
                yield line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"cannot read {path}: {reason}"
        raise InputError(message) from error


def _text(content: BinaryIO, *, is_zipped: bool) -> TextIO:
    if is_zipped:
        return gzip.open(content, "rt", encoding="utf-8", newline="")
    return io.TextIOWrapper(content, encoding="utf-8", newline="")


def _each(
    path: Path, number: int, lines: Iterator[str] | list[str], read: Callable[[str], Row]
) -> Iterator[Row]:
    most = SIMULATE_PARAMS.most_tokens
    for at, line in enumerate(islice(lines, SIMULATE_PARAMS.max_requests), number):
        where = f"{path}:{at}"
        if not line:
            continue
        try:
            row = read(line)
        except (ValueError, KeyError, TypeError) as error:
            problem = f"found {line[:60]!r}, needed a request: {error}"
            raise SpecError(where, problem) from error
        if not (0 < row[1] <= most and 0 < row[2] <= most):
            problem = f"found {row[1]} and {row[2]} tokens, needed 1 to {most} of each"
            raise SpecError(where, problem)
        yield row


def _azure(line: str) -> Row:
    fields = next(csv.reader([line]))
    if len(fields) != len(AZURE_FIELDS):
        message = f"{len(fields)} columns"
        raise ValueError(message)
    moment = datetime.fromisoformat(fields[0])
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp(), int(fields[1]), int(fields[2])


def _mooncake(line: str) -> Row:
    request = json.loads(line)
    milliseconds, *lengths = (
        request[name] for name in ("timestamp", "input_length", "output_length")
    )
    if any(type(length) is not int for length in lengths):
        raise TypeError("the lengths must be whole numbers")
    if type(milliseconds) not in (int, float) or not 0 <= milliseconds < 1e15:
        raise ValueError("the timestamp must be a time in milliseconds")
    return milliseconds / 1000, lengths[0], lengths[1]
