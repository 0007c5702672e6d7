"""Lines and tables under titles, as wide as the console."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hexplan.render import words
from hexplan.render.console import open_console

if TYPE_CHECKING:
    from rich.console import Console

Part: TypeAlias = Table | str
"""A table, or a line that is folded to the width with a hanging indent."""

MIN_WIDTH = 40
"""On narrower consoles, lines are folded to this many columns."""


@dataclass(frozen=True, slots=True)
class Section:
    """A title with the parts under it."""

    title: str
    """Empty for no title, and no blank line before the parts."""
    parts: Iterable[Part]


def sections_text(sections: Iterable[Section]) -> str:
    """Return sections as they are printed on stdout, which may be a terminal."""
    console = open_console(stderr=False)
    with console.capture() as capture:
        for section in sections:
            if section.title:
                console.print(Text(f"\n{section.title}", style="bold"))
            for part in section.parts:
                print_part(part, console)
    return capture.get()


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> Table:
    """Return a table; its last `numbers` columns are right-aligned, as numbers are."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, heading in enumerate(headings):
        is_number = position >= len(headings) - numbers
        found.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        found.add_row(*(Text(words.printable(cell)) for cell in row))
    return found


def fits(whole: Table, console: Console) -> bool:
    """Say whether a table fits the console's width without folding."""
    unbounded = console.options.update(width=10**6)
    return Measurement.get(console, unbounded, whole).maximum <= console.width


def print_part(part: Part, console: Console) -> None:
    """Print a table, or a line folded to the console's width."""
    if isinstance(part, Table):
        console.print(part)
        return
    indent = " " * (len(part) - len(part.lstrip()) + 2)
    lines = textwrap.wrap(
        words.printable(part),
        max(console.width, MIN_WIDTH),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    console.print(Text("\n".join(lines)), soft_wrap=True)
