"""The `top` command: how a running launch does, now and then again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.across.control import RunningPlan, ask
from hexplan.cli.inputs import seconds
from hexplan.cli.output import emit
from hexplan.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from hexplan_runtime.control.messages import Status

LEAST_S = 0.1


def top(
    plan_file: RunningPlan = None,
    interval: Annotated[str, typer.Option(help="How long each look counts tokens.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON on stdout for each look.")
    ] = False,
) -> None:
    """Watch the stages and routes of a plan that `serve` runs on this machine.

    Shows what passes each stage, how full its KV cache is, and how requests spread over the routes,
    beside what the plan predicts. Ctrl-C ends it; the launch goes on.
    """
    from hexplan.render.across.top_view import Rates, open_top_view, top_json

    interval_s = seconds("--interval", interval) or 0.0
    if interval_s < LEAST_S:
        message = f"--interval: found {interval}, needed at least {LEAST_S:g} s"
        raise InputError(message)
    before = _look(plan_file)
    with open_top_view(emit) as show:
        while True:
            time.sleep(interval_s)
            now = _look(plan_file)
            if now.pid == before.pid:
                rates = Rates.between(before, now)
                if as_json:
                    emit(top_json(rates))
                else:
                    show(rates)
                if once:
                    return
            before = now


def _look(plan_file: Path | None) -> Status:
    from hexplan_runtime.control.messages import Ask

    found = ask(plan_file, Ask(ask="status")).status
    assert found is not None
    return found
