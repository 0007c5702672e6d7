"""Read the commands' inputs: files, durations and prompts, with errors that name the option."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hexplan.errors import InputError

PROMPTS_LIMIT_BYTES = 2**20

AsJson = Annotated[bool, typer.Option("--json", help="Print the plan as JSON on stdout.")]
Overlays = Annotated[
    list[Path] | None,
    typer.Option(
        "--overlay", help="A file with measured figures, which replace the spec's; repeatable."
    ),
]
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan.json, or - for stdin.")]


def source(path: Path) -> Path:
    """Return the file to open for a path; `-` is stdin."""
    return Path("/dev/stdin") if path == Path("-") else path


def seconds(option: str, text: str | None) -> float | None:
    """Return a duration above zero, as an option gives it."""
    from hexplan.units import QuantityError, parse_seconds

    if text is None:
        return None
    try:
        seconds = float(parse_seconds(text))
    except QuantityError as error:
        message = f"{option}: {error.message}"
        raise InputError(message, hint=error.hint) from error
    if seconds <= 0:
        message = f"{option}: found {text}, needed a time above 0"
        raise InputError(message)
    return seconds


def read_prompts(prompts: list[str], path: Path | None) -> list[str]:
    """Return the prompts of the command line, and then those of a file with one a line."""
    from hexplan.files.bounded import read_bounded

    lines = [] if path is None else read_bounded(source(path), PROMPTS_LIMIT_BYTES).splitlines()
    found = prompts + [line for line in lines if line]
    if not found:
        message = "found no prompt, needed at least one"
        raise InputError(message, hint='give one: `--prompt "Once upon a time"`')
    return found
