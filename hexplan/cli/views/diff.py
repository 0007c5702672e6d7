"""The `diff` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.exit_codes import DIFFERENCES
from hexplan.cli.inputs import source
from hexplan.cli.output import emit
from hexplan.errors import InputError


def diff(
    before: Annotated[Path, typer.Argument(metavar="OLD", help="A plan.json, or - for stdin.")],
    after: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 5 if the plans differ.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the difference as JSON on stdout.")
    ] = False,
) -> None:
    """Show what differs between two plans, and what it takes to change one into the other.

    Stages are compared by the devices that run them, whatever their ids. Bytes to load are those
    that a device does not hold in the old plan.
    """
    from hexplan.plan_file import read_plan
    from hexplan.render import difference_json, difference_text
    from hexplan.results.comparing import difference

    if before == after == Path("-"):
        message = "found - twice, needed one plan from a file: stdin is read once"
        raise InputError(message)
    found = difference(read_plan(source(before)), read_plan(source(after)))
    emit(difference_json(found) if as_json else difference_text(found))
    if exit_code and not found.is_empty:
        raise typer.Exit(DIFFERENCES)
