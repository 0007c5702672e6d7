"""The `apply` command: bring a running launch over to another plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.across.control import ask
from hexplan.cli.inputs import seconds, source
from hexplan.cli.output import emit, require_sound
from hexplan.errors import InputError, LaunchError

if TYPE_CHECKING:
    from hexplan_runtime.control.messages import Applying

LOOK_S = 0.3


def apply(
    new_plan: Annotated[Path, typer.Argument(metavar="NEW_PLAN", help="The plan to go over to.")],
    to: Annotated[
        Path | None, typer.Option(metavar="PLAN", help="The plan that runs; needed if several do.")
    ] = None,
    drain_timeout: Annotated[
        str,
        typer.Option(
            help="How long requests may take to leave routes that are removed, before they start"
            " over on others."
        ),
    ] = "30s",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and touch nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Bring a plan that `serve` runs on this machine over to another one, and lose no request.

    Stages that both plans have go on. New ones start beside the old ones, or after those whose
    memory they need. Requests get the tokens that they would have had.
    """
    from hexplan.plan_file import read_plan
    from hexplan.render import say
    from hexplan.render.across.apply_view import changes_text
    from hexplan_runtime.control.messages import Ask

    plan = read_plan(source(new_plan))
    require_sound(new_plan, plan)
    drain_s = seconds("--drain-timeout", drain_timeout) or 0.0
    text = plan.model_dump_json(by_alias=True)
    changes = ask(to, Ask(ask="apply", plan=text, is_dry=dry_run, drain_s=drain_s)).changes
    assert changes is not None
    emit(changes.model_dump_json(indent=2) + "\n" if as_json else changes_text(changes))
    if dry_run or not changes.is_new:
        return
    told = 0
    while True:
        found = _look(to, new_plan)
        for step in found.steps[told:]:
            say(step)
        told = len(found.steps)
        if found.is_over:
            break
        time.sleep(LOOK_S)
    if found.problem is not None:
        raise LaunchError(found.problem, hint=found.hint)


def _look(to: Path | None, new_plan: Path) -> Applying:
    """Ask how far it is; once the new plan runs, the launch answers to that one's name."""
    from hexplan_runtime.control.messages import Ask

    try:
        found = ask(to, Ask(ask="applying")).applying
    except InputError:
        try:
            found = ask(new_plan, Ask(ask="applying")).applying
        except InputError as error:
            message = "the launch has ended before it was done"
            raise LaunchError(message) from error
    assert found is not None
    return found
