"""Show a server to people: a live table on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from hexplan.plan import Plan, Stage
from hexplan.render import words
from hexplan.render.console import open_console
from hexplan.render.sections import fits, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hexplan_runtime.launch.startup import RankStats
    from hexplan_runtime.serve.server import Load

Emit = Callable[[str], None]
_COLUMNS = (
    "stage",
    "host",
    "layers",
    "weights",
    "ready",
    "KV tokens",
    "KV",
    "tokens/s",
    "predicted",
)
_NUMBERS = frozenset({"KV tokens", "KV", "tokens/s", "predicted"})
"""The last columns, which are aligned as numbers are."""
_SHORT = frozenset({"weights", "ready", "KV tokens"})
_LEFT_OUT = (frozenset({"KV"}), _SHORT, _SHORT | {"host", "layers"})
"""Columns that tables leave out, from the widest table to the narrowest."""


@contextmanager
def open_serve_view(plan: Plan, emit: Emit, *, logs: bool) -> Iterator[ServeView]:
    """Yield what shows a server.

    Parameters
    ----------
    emit
        Writes the server's address to stdout.
    logs
        Whether each request gets a line.
    """
    console = open_console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield ServeView(plan, console, emit, logs=logs)
        return
    if sys.stdout.isatty():  # the address stands above the table, and must not break it
        emit = _nowhere
    live = Live(console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False)
    with live:
        yield LiveServeView(plan, live, emit, logs=logs)


class ServeView:
    """Reports on stderr what a server does, in plain lines."""

    def __init__(self, plan: Plan, console: Console, emit: Emit, *, logs: bool) -> None:
        self._plan = plan
        self._console = console
        self._emit = emit
        self._logs = logs
        self._was_ready = False
        self.is_serving = False
        """Whether requests are answered."""

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        """Report that every stage has its weights."""
        for stage in self._plan.stages:
            host = words.host(stage.host, self._plan.cluster)
            held = words.size(_weights(stage, stats))
            place = f"{words.count(stage.tp, 'device')} of {host}"
            self._say(
                f"{stage.id} ready: layers {words.span(stage.layers)} on {place}, weights {held}"
            )
        self._say(f"all stages ready after {words.duration(elapsed_s)}")

    def serving(self, url: str) -> None:
        """Print the address."""
        self.is_serving = True
        self._emit(f"{url}\n")
        self._say(f"serving at {url}/v1")
        self._say(f"a page to look at: {url}/")

    def load(self, load: Load) -> None:
        """Report once that a token has come through every route."""
        if load.is_ready and not self._was_ready:
            self._was_ready = True
            self._say("a token has come through every route: ready")

    def draining(self, num_requests: int, drain_s: float) -> None:
        """Report that the server is about to end."""
        left = f"{words.count(num_requests, 'request')} may take {words.duration(drain_s)} to end"
        self._say(f"stopping: {left}" if num_requests else "stopping: no request is under way")

    def ended(self, is_drained: bool) -> None:
        """Report how the server ended."""
        self._say("stopped" if is_drained else "stopped: some requests were cut off")

    def log(self, line: str) -> None:
        """Print a line about a request."""
        if self._logs:
            self._say(line)

    def note(self, line: str) -> None:
        """Print a line about a stage that is lost or back."""
        self._say(line)

    def _say(self, line: str) -> None:
        self._console.print(Text(words.printable(line)), soft_wrap=True)


class LiveServeView(ServeView):
    """Shows a table that is always up to date; lines appear above it."""

    def __init__(self, plan: Plan, live: Live, emit: Emit, *, logs: bool) -> None:
        super().__init__(plan, live.console, emit, logs=logs)
        self._live = live
        self._stats: Sequence[RankStats] = ()
        self._load: Load | None = None
        self._is_stopping = False
        self._show("starting")

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        """Show the weights of each stage."""
        self._stats = stats
        self._show(f"all stages ready after {words.duration(elapsed_s)}")

    def load(self, load: Load) -> None:
        """Show what the server does."""
        self._load, self._plan = load, load.plan
        state = "ready" if load.is_ready else "not ready"
        self._show("stopping" if self._is_stopping else state)

    def draining(self, num_requests: int, drain_s: float) -> None:
        """Report that the server is about to end."""
        self._is_stopping = True
        super().draining(num_requests, drain_s)

    def _show(self, state: str) -> None:
        self._live.update(Group(self._table(), Text(self._line(state), style="bold")))

    def _table(self) -> Table:
        """Return as many columns as the terminal has room for, without folding any."""
        rows = [self._row(stage) for stage in self._plan.stages]
        for left_out in _LEFT_OUT:
            headings = [name for name in _COLUMNS if name not in left_out]
            cells = [[row[name] for name in headings] for row in rows]
            found = table(headings, cells, numbers=len(_NUMBERS - left_out))
            if fits(found, self._live.console):
                break
        return found

    def _row(self, stage: Stage) -> dict[str, str]:
        load = self._load
        held = next((one for one in load.seen.kv if one.stage == stage.id), None) if load else None
        held_tokens = held.held_tokens if held else 0
        rate = load.stage_tokens_per_s.get(stage.id, 0.0) if load else 0.0
        return {
            "stage": stage.id,
            "host": words.host(stage.host, self._plan.cluster),
            "layers": words.span(stage.layers),
            "weights": words.size(_weights(stage, self._stats)) if self._stats else "reading",
            "ready": "yes" if load and load.is_ready else "no",
            "KV tokens": f"{held_tokens:,} of {stage.room_tokens:,}",
            "KV": words.percent(held_tokens / max(stage.room_tokens, 1)),
            "tokens/s": words.rate(rate) if rate else "0",
            "predicted": words.rate(stage.load_tokens_per_s),
        }

    def _line(self, state: str) -> str:
        if self._load is None:
            return state
        seen = self._load.seen
        rate = words.rate(self._load.tokens_per_s) if self._load.tokens_per_s else "0"
        predicted = words.rate(self._plan.predicted.tokens_per_s)
        return (
            f"{state}: {rate} of {predicted} tokens/s predicted, "
            f"{seen.running} running, {seen.waiting} waiting"
        )


def _nowhere(text: str) -> None:
    """Write nothing."""


def _weights(stage: Stage, stats: Sequence[RankStats]) -> int:
    return sum(rank.weights_bytes for rank in stats if rank.stage == stage.id)
