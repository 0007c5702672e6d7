"""The commands: each reads, calls one function, and renders.

What is heavy is imported inside a command, so that help comes at once and planning needs no torch.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.inputs import PlanFile, seconds, source
from hexplan.cli.launch import launch
from hexplan.cli.output import emit, require_own_plan_sound, write
from hexplan.errors import CheckFailed

HELP = """Plan and launch LLM inference on mixed GPUs, with a proved bound.

\b
Examples:
  hexplan solve cluster.yaml -o plan.json
  hexplan show plan.json
  hexplan check plan.json
  hexplan launch plan.json --prompt "Once upon a time"
"""

EXIT_CODES = """\b
Exit codes:
    0  ok
    1  a bug of hexplan
    2  bad usage or input
    3  proved infeasible: no plan exists
    4  the plan breaks a rule
    5  differences found
    6  a limit was reached, and there is no plan yet
    7  a launch or health failure
  130  interrupted
"""

app = typer.Typer(
    help=HELP,
    epilog=EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the plan as JSON on stdout.")]


class Format(StrEnum):
    """How `check` writes its verdict."""

    TEXT = "text"
    JSON = "json"


class Described(StrEnum):
    """What `schema` describes; the keys of `hexplan.schema.DESCRIBED`."""

    CLUSTER = "cluster"
    PLAN = "plan"
    MODEL = "model"
    PROFILE = "profile"


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        emit(f"hexplan {version('hexplan')}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Print without colour, as NO_COLOR=1 does.")
    ] = False,
) -> None:
    """Take the options that come before a command."""
    if no_color:
        os.environ["NO_COLOR"] = "1"


@app.command()
def solve(
    spec_file: Annotated[Path, typer.Argument(metavar="SPEC", help="A cluster.yaml.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the plan here; - is stdout.")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Stop searching after this, such as 30s.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    solver: Annotated[str, typer.Option(help="A MILP solver that PuLP finds.")] = "HiGHS",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the solver.")] = 1,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find a plan, and prove how much better any plan could be."""
    from hexplan.render import say, solve_progress, summary
    from hexplan.spec import read_spec
    from hexplan_solver import SolveOptions
    from hexplan_solver import solve as find_plan

    spec = read_spec(source(spec_file))
    search = SolveOptions(seed, seconds("--time-limit", time_limit), solver, threads)
    with solve_progress(quiet=quiet) as report:
        plan = find_plan(spec, search, report)
    require_own_plan_sound(plan)
    write(plan, output, as_json=as_json)
    if not quiet:
        say(summary(plan, output))


@app.command()
def show(plan_file: PlanFile, as_json: AsJson = False) -> None:
    """Show a plan: stages, routes, bottleneck, and what is proved."""
    from hexplan.plan_file import read_plan

    write(read_plan(source(plan_file)), None, as_json=as_json)


@app.command()
def check(
    plan_file: PlanFile,
    output_format: Annotated[Format, typer.Option("--format", help="How to write the verdict.")] = (
        Format.TEXT
    ),
) -> None:
    """Hold a plan against every rule.

    Every number is computed again from the plan alone, in exact arithmetic and without the
    solver. Exits with 4 if a rule is broken.
    """
    from hexplan.check import RULES, check_plan
    from hexplan.plan_file import read_plan
    from hexplan.render import verdict_json, verdict_text, words

    violations = check_plan(read_plan(source(plan_file)))
    verdict = verdict_json if output_format is Format.JSON else verdict_text
    emit(verdict(violations, len(RULES)))
    if violations:
        places = words.count(len(violations), "place")
        message = f"{plan_file} breaks the rules in {places}"
        raise CheckFailed(message)


app.command()(launch)


@app.command()
def schema(name: Annotated[Described, typer.Argument(help="Which file or part of one.")]) -> None:
    """Print the JSON Schema of a file, for editors and CI."""
    from hexplan.schema import schema_json

    emit(schema_json(name.value))
