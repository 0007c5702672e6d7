"""Show how a running launch does: its stages and routes, with rates since the look before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from hexplan.render import words
from hexplan.render.console import open_console
from hexplan.render.sections import Part, Section, sections_text, table

if TYPE_CHECKING:
    from hexplan_runtime.control.messages import RouteStatus, StageStatus, Status

STAGES = ("stage", "host", "KV", "tokens/s", "planned", "of plan")
ROUTES = ("route", "requests", "share", "weight", "tokens/s")


@dataclass(frozen=True, slots=True)
class StageRate:
    """A stage, and what passed it meanwhile."""

    now: StageStatus
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class RouteRate:
    """A route, and what was sent into it meanwhile."""

    now: RouteStatus
    tokens_per_s: float
    share: float | None
    """Its share of all requests so far; None before the first one."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How a launch did between two looks."""

    now: Status
    stages: tuple[StageRate, ...]
    routes: tuple[RouteRate, ...]

    @classmethod
    def between(cls, before: Status, now: Status) -> Rates:
        """Return the rates between two looks at the same launch."""
        elapsed_s = max(now.at_s - before.at_s, 1e-9)
        requests = sum(route.requests for route in now.routes)
        return cls(
            now,
            tuple(
                StageRate(stage, (stage.tokens - old.tokens) / elapsed_s)
                for old, stage in zip(before.stages, now.stages, strict=True)
            ),
            tuple(
                RouteRate(
                    route,
                    (route.tokens - old.tokens) / elapsed_s,
                    route.requests / requests if requests else None,
                )
                for old, route in zip(before.routes, now.routes, strict=True)
            ),
        )


def top_text(rates: Rates) -> str:
    """Return it as lines and tables."""
    return sections_text([Section("", _parts(rates))])


def top_json(rates: Rates) -> str:
    """Return it as one line of JSON."""
    now = rates.now
    found = {
        "state": now.state,
        "url": now.url,
        "running": now.running,
        "waiting": now.waiting,
        "stages": [
            one.now.model_dump() | {"tokens_per_s": round(one.tokens_per_s, 3)}
            for one in rates.stages
        ],
        "routes": [
            one.now.model_dump()
            | {"tokens_per_s": round(one.tokens_per_s, 3), "share_of_requests": one.share}
            for one in rates.routes
        ],
    }
    return json.dumps(found) + "\n"


@contextmanager
def open_top_view(emit: Callable[[str], None]) -> Iterator[Callable[[Rates], None]]:
    """Yield what shows rates: over what was there on a terminal, below it elsewhere."""
    console = open_console(stderr=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda rates: emit(top_text(rates))
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(rates: Rates) -> None:
            parts = (Text(one) if isinstance(one, str) else one for one in _parts(rates))
            live.update(Group(*parts), refresh=True)

        yield show


def _parts(rates: Rates) -> list[Part]:
    now = rates.now
    head = f"{now.state}, {now.running} requests run, {now.waiting} wait, at {now.url}"
    stages = table(STAGES, map(_stage_row, rates.stages), numbers=4)
    routes = table(ROUTES, map(_route_row, rates.routes), numbers=4)
    return [head, *now.obstacles, stages, routes]


def _stage_row(one: StageRate) -> tuple[str, ...]:
    stage = one.now
    planned = stage.planned_tokens_per_s
    return (
        stage.stage,
        stage.host,
        words.percent(stage.kv_tokens / stage.kv_room if stage.kv_room else 0.0),
        f"{one.tokens_per_s:,.1f}",
        f"{planned:,.1f}",
        words.percent(one.tokens_per_s / planned) if planned else "",
    )


def _route_row(one: RouteRate) -> tuple[str, ...]:
    route = one.now
    return (
        " > ".join(route.stages),
        f"{route.requests:,}",
        "" if one.share is None else words.percent(one.share),
        _weight(route),
        f"{one.tokens_per_s:,.1f}",
    )


def _weight(route: RouteStatus) -> str:
    planned, now = words.percent(route.weight), words.percent(route.weight_now)
    return planned if now == planned else f"{now}, not {planned}"
