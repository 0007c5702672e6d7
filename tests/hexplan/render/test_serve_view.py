"""What a server shows: a table on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.live import Live
from support.plans import two_hosts_plan

from hexplan.plan import Plan
from hexplan.render.serve_view import LiveServeView, ServeView

PLAN = two_hosts_plan()


@dataclass(frozen=True)
class Rank:
    """What the runtime tells of a rank."""

    stage: str
    weights_bytes: int


@dataclass(frozen=True)
class Kv:
    """What the runtime tells of a stage's cache."""

    stage: str
    held_tokens: int


@dataclass(frozen=True)
class Seen:
    """What the engine holds."""

    running: int
    waiting: int
    kv: Sequence[Kv] = ()


@dataclass(frozen=True)
class Load:
    """What the server does."""

    seen: Seen
    tokens_per_s: float
    is_ready: bool
    stage_tokens_per_s: dict[str, float] = field(default_factory=dict)
    plan: Plan = PLAN


STATS = [Rank(stage.id, 3 * 2**20) for stage in PLAN.stages for _ in stage.devices]
BUSY = Load(
    Seen(5, 2, [Kv(stage.id, 1234) for stage in PLAN.stages]),
    87.5,
    is_ready=True,
    stage_tokens_per_s={stage.id: 43.75 for stage in PLAN.stages},
)


def console(*, is_terminal: bool, width: int = 120) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=width, force_terminal=is_terminal, markup=False), file


def test_without_a_terminal_each_change_is_a_line() -> None:
    out: list[str] = []
    made, file = console(is_terminal=False)
    view = ServeView(PLAN, made, out.append, logs=True)
    view.ready(STATS, 2.5)
    view.serving("http://127.0.0.1:8000")
    view.load(BUSY)
    view.load(BUSY)
    view.log("127.0.0.1 GET /plan 200")
    view.draining(2, 30.0)
    view.ended(is_drained=True)
    assert out == ["http://127.0.0.1:8000\n"]
    lines = file.getvalue().splitlines()
    assert lines[0].startswith(f"{PLAN.stages[0].id} ready: layers ")
    assert lines[len(PLAN.stages) :] == [
        "all stages ready after 2.50 s",
        "serving at http://127.0.0.1:8000/v1",
        "a page to look at: http://127.0.0.1:8000/",
        "a token has come through every route: ready",
        "127.0.0.1 GET /plan 200",
        "stopping: 2 requests may take 30 s to end",
        "stopped",
    ]


def test_requests_are_not_logged_unless_asked() -> None:
    made, file = console(is_terminal=False)
    ServeView(PLAN, made, lambda text: None, logs=False).log("127.0.0.1 GET /plan 200")
    assert file.getvalue() == ""


def test_a_line_of_the_log_cannot_control_a_terminal() -> None:
    made, file = console(is_terminal=False)
    ServeView(PLAN, made, lambda text: None, logs=True).log("GET /\x1b[31m")
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize(
    ("width", "shown", "left_out"),
    [
        (100, ("host", "KV tokens", "predicted"), ()),
        (60, ("host", "layers", "KV", "predicted"), ("KV tokens", "weights")),
        (36, ("stage", "tokens/s", "predicted"), ("host", "layers")),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns_and_none_folded(
    width: int, shown: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    made, file = console(is_terminal=True, width=width)
    with Live(console=made, auto_refresh=False) as live:
        view = LiveServeView(PLAN, live, lambda text: None, logs=True)
        view.ready(STATS, 2.5)
        view.load(BUSY)
        file.truncate(0)
        live.refresh()
        lines = file.getvalue().splitlines()
    heading = next(line for line in lines if "stage" in line)
    assert all(name in heading for name in shown)
    assert not any(name in heading for name in left_out)
    rows = [line for line in lines if "43.8" in line]
    assert len(rows) == len(PLAN.stages)
    assert all(stage.id in row for stage, row in zip(PLAN.stages, rows, strict=True))


def test_on_a_terminal_a_table_shows_each_stage_at_work() -> None:
    made, file = console(is_terminal=True)
    with Live(console=made, auto_refresh=False) as live:
        view = LiveServeView(PLAN, live, lambda text: None, logs=True)
        live.refresh()
        assert "reading" in file.getvalue()
        view.ready(STATS, 2.5)
        view.load(BUSY)
        file.truncate(0)
        live.refresh()
        shown = file.getvalue()
    assert "reading" not in shown
    assert "1,234 of" in shown
    assert "43.8" in shown
    assert "ready: 87.5 of" in shown
    assert "5 running, 2 waiting" in shown
