"""Show the progress of a solve: one moving line on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from hexplan.render import words
from hexplan.render.console import open_console

if TYPE_CHECKING:
    from rich.console import Console

    from hexplan_solver import Progress

QUIET_S = 10.0
"""Without a terminal, a phase prints a line at most this often."""


@contextmanager
def solve_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows a solve's progress."""
    console = open_console(stderr=True)
    if quiet:
        yield lambda progress: None
    elif console.is_terminal and not console.is_dumb_terminal:
        with _moving_line(console) as live:
            yield lambda progress: live.update(_text(progress))
    else:
        yield PlainLines(console)


def _moving_line(console: Console) -> Live:
    return Live(
        console=console,
        transient=True,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=False,
    )


class PlainLines:
    """Prints a line at each new phase, and every few seconds within a long one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._last_s = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print the progress, unless the same phase has just printed it."""
        if progress.phase == self._phase and progress.elapsed_s < self._last_s + QUIET_S:
            return
        self._phase, self._last_s = progress.phase, progress.elapsed_s
        self._console.print(_text(progress), soft_wrap=True)


def _text(progress: Progress) -> Text:
    parts = []
    if progress.incumbent_tokens_per_s is not None:
        parts.append(f"best {words.rate(progress.incumbent_tokens_per_s)} tokens/s")
    if progress.bound_tokens_per_s is not None:
        parts.append(f"bound {words.rate(progress.bound_tokens_per_s)} tokens/s")
    if progress.gap is not None:
        parts.append(f"gap {words.gap(progress.gap)}")
    parts.append(words.duration(progress.elapsed_s))
    line = f"{progress.phase}: " + ", ".join(parts)
    return Text(line, no_wrap=True, overflow="ellipsis")
