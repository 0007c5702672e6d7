"""The `hosts prepare` command: install hexplan on a plan's hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.across.options import HostOptions, HostsFolder, PublicHosts, Ssh
from hexplan.cli.across.weights import PushWeights, push_weights
from hexplan.cli.inputs import PlanFile, source
from hexplan.cli.output import emit
from hexplan.cli.starting import RUNTIME, require_packages
from hexplan.errors import InputError, LaunchError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_runtime.launch.places import Hosts

PREPARED = ".hexplan/venv/bin/python"
"""The Python that installing leaves on a host, in its user's home."""
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
    wheel: Annotated[Path | None, typer.Option(help="The wheel of hexplan to install.")] = None,
    ssh: Ssh = None,
    python: Annotated[
        str, typer.Option(help="The Python on the hosts that makes the environment.")
    ] = "python3",
    alone: Annotated[
        bool,
        typer.Option("--alone", help="Install nothing but hexplan: the hosts have what it needs."),
    ] = False,
    push: PushWeights = False,
    model_folder: Annotated[
        Path | None, typer.Option(help="The folder with the weights here, if not the plan's.")
    ] = None,
    hosts_model_folder: HostsFolder = None,
    allow_public_hosts: PublicHosts = False,
) -> None:
    """Copy a wheel to each host over ssh, and install it into a virtual environment there.

    A host that has the same wheel already is left as it is. Name the environment's Python to the
    other commands: `--python .hexplan/venv/bin/python`. With --push-weights, the model's files
    follow; without a wheel, the hosts' --python must have hexplan.
    """
    if wheel is None and not push:
        raise InputError("found neither --wheel nor --push-weights, so there is nothing to do")
    require_packages(RUNTIME)
    from hexplan.plan_file import read_plan

    plan = read_plan(source(plan_file))
    options = HostOptions(False, ssh, python, None, hosts_model_folder, allow_public_hosts)
    found = options.hosts(plan)
    if found is None:
        raise InputError("found no `address` of a host, so there is none to prepare")
    if wheel is not None:
        _install(plan, found, wheel, alone=alone)
        found = replace(found, reach=replace(found.reach, python=PREPARED))
    if push:
        push_weights(plan, found, model_folder, lambda line: emit(f"{line}\n"))


def _install(plan: Plan, hosts: Hosts, wheel: Path, *, alone: bool) -> None:
    from hexplan.render import words
    from hexplan_runtime.launch.prepare import prepare_hosts

    failed = []
    for one in prepare_hosts(plan, hosts, wheel, alone=alone):
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
