"""The `explain` command."""

from __future__ import annotations

from typing import Annotated

import typer

from hexplan.cli.inputs import PlanFile, seconds, source
from hexplan.cli.output import emit, require_sound


def explain(
    plan_file: PlanFile,
    time_limit: Annotated[
        str, typer.Option(help="Search each changed cluster for at most this time.")
    ] = "5s",
    quick: Annotated[
        bool, typer.Option("--quick", help="Search no plans; only compute bounds and new routes.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the searches.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the explanation as JSON on stdout.")
    ] = False,
) -> None:
    """Say what limits a plan, and what would raise its flow.

    Names the bottleneck; the gain from one more host or device of each kind, or from a faster link;
    why devices are left out; and why each stage has its degree.
    """
    from hexplan.plan_file import read_plan
    from hexplan.render import explanation_json, explanation_text, solve_progress
    from hexplan_solver import SolveOptions
    from hexplan_solver import explain as find_reasons

    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    search = None if quick else SolveOptions(seed, seconds("--time-limit", time_limit))
    with solve_progress(quiet=quiet) as report:
        explanation = find_reasons(plan, search, report)
    emit(explanation_json(explanation) if as_json else explanation_text(explanation))
