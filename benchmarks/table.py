"""Read back the tables that the benchmarks print, so that a picture needs no second run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hexplan.files.bounded import write_atomically
from hexplan.render import Kind, picture_kind


def draw(picture: Callable[[str, Kind], bytes]) -> None:
    """Draw the table in one file to another; the command line names both.

    Parameters
    ----------
    picture
        Told the Markdown and the kind of the picture.
    """
    source, target = map(Path, sys.argv[1:])
    kind = picture_kind("FILE", target)
    write_atomically(target, picture(source.read_text(encoding="utf-8"), kind))


def columns(markdown: str, headings: Sequence[str]) -> list[tuple[str, ...]]:
    """Return some columns, row by row, of the first table that has all of them.

    A heading asked for twice is that of two columns, from the left.

    Raises
    ------
    ValueError
        If no table has them.
    """
    lines = iter(markdown.splitlines())
    for line in lines:
        head = _cells(line)
        if set(headings) <= set(head):
            break
    else:
        message = f"found no table with the columns {', '.join(headings)}"
        raise ValueError(message)
    places: list[int] = []
    for heading in headings:
        places.append(next(i for i, cell in enumerate(head) if cell == heading and i not in places))
    next(lines)  # the line of dashes
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = _cells(line)
        rows.append(tuple(cells[place] for place in places))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
