"""The `replan` command."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import Overlays, PlanFile, seconds, source
from hexplan.cli.interrupts import stop_on_interrupt
from hexplan.cli.output import (
    emit,
    require_output,
    require_own_plan_sound,
    require_sound,
    require_together,
)
from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_solver.replan import HostOrDevice, Loss


def replan(
    plan_file: PlanFile,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="A host that is gone, or a device as HOST:INDEX; repeatable, or as a list: a,b:2."
        ),
    ] = None,
    spec_file: Annotated[
        Path | None, typer.Option("--spec", metavar="SPEC", help="The changed cluster.yaml.")
    ] = None,
    overlay: Overlays = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the new plan here; - is stdout.")
    ] = None,
    routes_only: Annotated[
        bool, typer.Option("--routes-only", help="Move no weights, and only find new routes.")
    ] = False,
    max_loss: Annotated[
        str, typer.Option(help="How much flow a plan may lose against a fresh one, such as 5%.")
    ] = "5%",
    time_limit: Annotated[
        str | None, typer.Option(help="Stop searching after this time, such as 30s.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what changes as JSON on stdout.")
    ] = False,
) -> None:
    """Find a plan for a changed cluster that moves few weights, or none.

    A device that is gone is excluded, so the others keep their indices. Without `-o`, this only
    shows what would change. Ctrl-C ends the search and keeps the best plan so far.
    """
    from hexplan.plan_file import plan_json, read_plan, write_plan
    from hexplan.render import replanning_json, replanning_text, say, solve_progress
    from hexplan_solver import ReplanOptions, SolveOptions
    from hexplan_solver import replan as find_plan

    require_output(output)
    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    require_together(plan, "replan")
    limit_s, share = seconds("--time-limit", time_limit), _loss_share(max_loss)
    loss = _loss(plan, without or [], spec_file, overlay or [])
    with stop_on_interrupt() as stop, solve_progress(quiet=quiet) as report:
        options = ReplanOptions(routes_only, share, SolveOptions(seed, limit_s, stop=stop))
        done = find_plan(plan, loss, options, report)
    require_own_plan_sound(done.plan)
    is_piped = output == Path("-")
    if output is not None and not is_piped:
        write_plan(done.plan, output)
    if is_piped:
        emit(plan_json(done.plan))
    elif as_json:
        emit(replanning_json(done.summary))
    elif not quiet:
        emit(replanning_text(done.summary))
    if not quiet and output is not None and not is_piped:
        say(f"wrote {output}")


def _loss(plan: Plan, without: list[str], spec_file: Path | None, overlays: list[Path]) -> Loss:
    """Return the changed spec."""
    from hexplan.reading import read_spec
    from hexplan.spec import Spec
    from hexplan_solver.replan import changed
    from hexplan_solver.replan import without as take_away

    if overlays and spec_file is None:
        message = "--overlay: found it without --spec, needed the spec whose figures it replaces"
        raise InputError(message, hint="give the `--spec` that the plan was made from")
    if not without and spec_file is None:
        message = "found no change, needed `--without` or `--spec`"
        raise InputError(
            message,
            hint="name what is gone: `--without HOST`; or give the changed spec: `--spec FILE`",
        )
    slots = [slot for text in without for slot in _slots(text)]
    if spec_file is None:
        return take_away(Spec.of(plan), slots)
    loss = changed(read_spec(source(spec_file), overlays))
    return take_away(loss.spec, slots, keeps_bounds=False) if slots else loss


def _slots(text: str) -> list[HostOrDevice]:
    """Read `h3,h4:2,t4-[0-3]`; `h4/2`, as pins write it, is accepted too."""
    from hexplan.reading.names import expand

    slots: list[HostOrDevice] = []
    for part in text.split(","):
        host, _, device = part.strip().replace("/", ":").partition(":")
        if ":" in part.replace("/", ":") and not (device.isascii() and device.isdigit()):
            message = f"--without: found {part.strip()}, needed a device as HOST:INDEX"
            raise InputError(message, hint="`--without h4:2` is the third device of h4")
        try:
            slots += [(name, int(device) if device else None) for name in expand(host)]
        except ValueError as error:
            message = f"--without: {error}"
            raise InputError(message) from error
    return slots


def _loss_share(text: str) -> Decimal:
    """Return a share in [0, 1)."""
    from hexplan.units import QuantityError, parse_fraction

    try:
        # No share in a spec may be 0, but a loss may.
        share = Decimal(0) if text.strip() in ("0", "0%", "0 %") else parse_fraction(text)
    except QuantityError as error:
        message = f"--max-loss: {error.message}"
        raise InputError(message, hint=error.hint) from error
    if share == 1:
        message = f"--max-loss: found {text}, needed less than all of the flow"
        raise InputError(message, hint="`--routes-only` moves no weights at all")
    return share
