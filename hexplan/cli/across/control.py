"""The commands that speak to a running launch: `status`, `logs`, `stop` and `drain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import source
from hexplan.cli.output import emit
from hexplan.cli.starting import RUNTIME, require_packages

if TYPE_CHECKING:
    from hexplan_runtime.control.messages import Answer, Ask, Status

RunningPlan = Annotated[
    Path | None,
    typer.Argument(metavar="[PLAN]", help="The plan that runs; needed if several do."),
]
StatusAsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def status(plan_file: RunningPlan = None, as_json: StatusAsJson = False) -> None:
    """Show how a plan that `serve` runs on this machine is."""
    from hexplan_runtime.control.messages import Ask

    found = ask(plan_file, Ask(ask="status")).status
    assert found is not None
    emit(found.model_dump_json(indent=2) + "\n" if as_json else _text(found))


def logs(
    plan_file: RunningPlan = None,
    of: Annotated[str | None, typer.Option(help="Only this host or stage.")] = None,
) -> None:
    """Print what the agents and ranks of a running plan wrote last."""
    from hexplan.render import words
    from hexplan_runtime.control.messages import Ask

    found = ask(plan_file, Ask(ask="logs", of=of)).logs
    lines = [f"{one.name}: {words.printable(line)}" for one in found for line in one.lines]
    silent = [f"{one.name}: nothing" for one in found if not one.lines]
    emit("".join(f"{line}\n" for line in [*lines, *silent]))


def stop(plan_file: RunningPlan = None) -> None:
    """End a running plan: no new requests, and a little time for those under way."""
    from hexplan_runtime.control.messages import Ask

    _end(plan_file, Ask(ask="stop"))


def drain(plan_file: RunningPlan = None) -> None:
    """End a running plan once the requests under way are over, however long they take."""
    from hexplan_runtime.control.messages import Ask

    _end(plan_file, Ask(ask="drain"))


def _end(plan_file: Path | None, order: Ask) -> None:
    from hexplan.render import say, words

    found = ask(plan_file, order).status
    assert found is not None
    under_way = words.count(found.running + found.waiting, "request")
    say(f"process {found.pid} ends once {under_way} under way are over")


def ask(plan_file: Path | None, question: Ask) -> Answer:
    """Ask the running launch of a plan, or the only one there is."""
    require_packages(RUNTIME)
    from hexplan.plan_file import read_plan
    from hexplan_runtime.control.client import ask_launch

    plan = None if plan_file is None else read_plan(source(plan_file))
    return ask_launch(plan, question)


def _text(status: Status) -> str:
    lines = [f"{status.state}, process {status.pid}, at {status.url}", *status.obstacles]
    lines += [status.notice] if status.notice else []
    lines.append(f"{status.running} requests run, {status.waiting} wait")
    for one in status.stages:
        lines.append(
            f"stage {one.stage} on {one.host}: KV cache {one.kv_tokens:,} of {one.kv_room:,} tokens"
        )
    return "".join(f"{line}\n" for line in lines)
