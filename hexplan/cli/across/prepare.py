"""The `hosts prepare` command: install hexplan on a plan's hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.across.options import HostOptions, PublicHosts, Ssh
from hexplan.cli.inputs import PlanFile, source
from hexplan.cli.output import emit
from hexplan.cli.starting import RUNTIME, require_packages
from hexplan.errors import InputError, LaunchError

STATES = {"there": "has it already", "installed": "installed"}

hosts = typer.Typer(
    help="Get the hosts of a plan ready.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@hosts.callback()
def options() -> None:
    """Get the hosts of a plan ready."""


@hosts.command()
def prepare(
    plan_file: PlanFile,
    wheel: Annotated[Path, typer.Option(help="The wheel of hexplan to install.")],
    ssh: Ssh = None,
    python: Annotated[
        str, typer.Option(help="The Python on the hosts that makes the environment.")
    ] = "python3",
    alone: Annotated[
        bool,
        typer.Option("--alone", help="Install nothing but hexplan: the hosts have what it needs."),
    ] = False,
    allow_public_hosts: PublicHosts = False,
) -> None:
    """Copy a wheel to each host over ssh, and install it into a virtual environment there.

    A host that has the same wheel already is left as it is. Name the environment's Python to the
    other commands: `--python .hexplan/venv/bin/python`.
    """
    require_packages(RUNTIME)
    from hexplan.plan_file import read_plan
    from hexplan.render import words
    from hexplan_runtime.launch.prepare import prepare_hosts

    plan = read_plan(source(plan_file))
    found = HostOptions(False, ssh, python, None, None, allow_public_hosts).hosts(plan)
    if found is None:
        raise InputError("found no `address` of a host, so there is none to prepare")
    failed = []
    for one in prepare_hosts(plan, found, wheel, alone=alone):
        state = STATES.get(one.outcome.state)
        if state is not None:
            emit(f"host {one.host} at {one.address}: {state}: {one.outcome.python}\n")
            continue
        failed.append(one.host)
        emit(f"host {one.host} at {one.address}: {words.printable(one.outcome.problem)}\n")
        if one.hint is not None:
            emit(f"  {one.hint}\n")
    if failed:
        message = f"could not prepare {', '.join(failed)}"
        raise LaunchError(message)
