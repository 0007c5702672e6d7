"""The two consoles: data goes to stdout, messages go to stderr."""

from __future__ import annotations

import os

from rich.console import Console
from rich.text import Text

from hexplan.render.words import printable


def open_console(*, stderr: bool) -> Console:
    """Return a console; without a terminal, or with `NO_COLOR`, it prints no escape codes."""
    is_plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        stderr=stderr,
        color_system=None if is_plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def say(message: str, *, style: str = "") -> None:
    """Print a message on stderr without folding it."""
    console = open_console(stderr=True)
    console.print(Text(printable(message), style=style), soft_wrap=True)


def say_error(message: str, hint: str | None = None) -> None:
    """Print an error on stderr and, after a blank line, a hint."""
    console = open_console(stderr=True)
    console.print(Text.assemble(("error", "bold red"), ": ", printable(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("\nhint", "cyan"), ": ", printable(hint)), soft_wrap=True)
