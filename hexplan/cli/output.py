"""Write the commands' output: data to stdout, plans to files, and no plan that breaks a rule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hexplan.errors import CheckFailed, HexplanError, InputError
from hexplan.wording import TOGETHER_HINT

if TYPE_CHECKING:
    from hexplan.plan import Plan

REPORT_HINT = "please report it with the command and its input; `HEXPLAN_DEBUG=1` shows more"


def require_own_plan_sound(plan: Plan) -> None:
    """Report a bug if a plan that hexplan made breaks a rule."""
    from hexplan.check import check_plan

    if violations := check_plan(plan):
        message = f"hexplan has a bug: it made a plan that breaks a rule\n{violations[0]}"
        raise HexplanError(message, hint=REPORT_HINT)


def require_sound(path: Path, plan: Plan) -> None:
    """Refuse to run a plan that breaks a rule."""
    from hexplan.check import check_plan

    if violations := check_plan(plan):
        message = f"{path} breaks a rule\n{violations[0]}"
        raise CheckFailed(message, hint=f"`hexplan check {path}` lists every rule that it breaks")


def require_together(plan: Plan, what: str) -> None:
    """Refuse a plan that prefills and decodes on different stages."""
    if plan.is_split:
        message = f"{what}: found stages that only prefill or only decode, needed all to serve both"
        raise InputError(message, hint=TOGETHER_HINT)


def require_output(output: Path | None) -> None:
    """Refuse an `--output` that could not be written after the search; - is stdout."""
    from hexplan.files.writable import require_writable

    if output is not None and output != Path("-"):
        require_writable("--output", output)


def write(plan: Plan, output: Path | None, *, as_json: bool) -> None:
    """Write a plan to a file; or to stdout as tables, or as JSON if asked."""
    from hexplan.plan_file import plan_json, write_plan
    from hexplan.render import plan_text

    to_stdout = output is None or output == Path("-")
    if output is not None and not to_stdout:
        write_plan(plan, output)
    if as_json or output == Path("-"):
        emit(plan_json(plan))
    elif to_stdout:
        emit(plan_text(plan))


def emit(text: str) -> None:
    """Write data to stdout."""
    sys.stdout.write(text)
    sys.stdout.flush()


def emit_generated(text: str) -> None:
    """Write text that a model generated; on a terminal, its control characters are escaped."""
    from hexplan.render import words

    emit(words.printable(text) if sys.stdout.isatty() else text)
