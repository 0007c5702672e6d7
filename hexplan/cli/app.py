"""The commands: each reads its input, calls one function, and renders the result.

Heavy modules are imported inside the commands, so that help is instant and planning needs no torch.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from hexplan.cli.across.apply import apply
from hexplan.cli.across.control import drain, logs, status, stop
from hexplan.cli.across.doctor import doctor
from hexplan.cli.across.prepare import hosts
from hexplan.cli.across.top import top
from hexplan.cli.calibrate import calibrate
from hexplan.cli.check import check, rule
from hexplan.cli.explain import explain
from hexplan.cli.export.export import HELP as EXPORT_HELP
from hexplan.cli.export.export import export
from hexplan.cli.inputs import AsJson, PlanFile, source
from hexplan.cli.launch import launch
from hexplan.cli.output import emit, write
from hexplan.cli.probe import probe
from hexplan.cli.profile import profile
from hexplan.cli.replan import replan
from hexplan.cli.serve import serve
from hexplan.cli.simulate import simulate
from hexplan.cli.solve import solve
from hexplan.cli.views.diff import diff
from hexplan.cli.views.graph import graph

HELP = """Plan and launch LLM inference on mixed GPUs, with a proved bound.

\b
Examples:
  hexplan solve cluster.yaml -o plan.json
  hexplan show plan.json
  hexplan check plan.json
  hexplan launch plan.json --prompt "Once upon a time"
  hexplan serve plan.json --port 8000
  hexplan doctor plan.json
  hexplan explain plan.json
  hexplan simulate plan.json --rate 2/s
  hexplan diff plan.json new.json
  hexplan graph plan.json -o plan.svg
  hexplan export vllm plan.json -o FOLDER
  hexplan replan plan.json --without host-3 -o new.json
  hexplan apply new.json
  hexplan profile --model FOLDER --device NAME -o profile.yaml
  hexplan probe cluster.yaml --bind 10.0.0.9 -o overlay.yaml
  hexplan calibrate plan.json observed.jsonl -o overlay.yaml
"""

EXIT_CODES = """\b
Exit codes:
    0  ok
    1  a bug of hexplan
    2  bad usage or input
    3  proved infeasible: no plan exists
    4  the plan breaks a rule, or an export cannot express it
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


class Described(StrEnum):
    """The files that `schema` describes; the keys of `hexplan.reading.schema.DESCRIBED`."""

    CLUSTER = "cluster"
    PLAN = "plan"
    MODEL = "model"
    PROFILE = "profile"
    OVERLAY = "overlay"


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
    """Apply the options that come before a command."""
    if no_color:
        os.environ["NO_COLOR"] = "1"


app.command()(solve)


@app.command()
def show(plan_file: PlanFile, as_json: AsJson = False) -> None:
    """Show a plan: stages, routes, bottleneck, and what is proved or trusted."""
    from hexplan.plan_file import read_plan

    write(read_plan(source(plan_file)), None, as_json=as_json)


app.command()(check)
app.command()(rule)
app.command()(diff)
app.command()(graph)
app.command(help=EXPORT_HELP)(export)
app.command()(launch)
app.command()(serve)
app.command()(calibrate)
app.command()(explain)
app.command()(replan)
app.command()(simulate)
app.command()(profile)
app.command()(probe)
app.command()(doctor)
app.add_typer(hosts, name="hosts")
app.command()(apply)
app.command()(status)
app.command()(top)
app.command()(logs)
app.command()(stop)
app.command()(drain)


@app.command()
def schema(name: Annotated[Described, typer.Argument(help="The file to describe.")]) -> None:
    """Print the JSON Schema of a file, for editors and CI."""
    from hexplan.reading.schema import schema_json

    emit(schema_json(name.value))
