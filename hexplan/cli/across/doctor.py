"""The `doctor` command: look at a plan's hosts before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.across.options import (
    BehindNat,
    FirstPort,
    HostOptions,
    HostsFolder,
    PublicHosts,
    Python,
    Ssh,
)
from hexplan.cli.inputs import PlanFile, seconds, source
from hexplan.cli.output import emit, require_sound
from hexplan.cli.starting import RUNTIME, require_packages
from hexplan.errors import InputError, LaunchError


def doctor(
    plan_file: PlanFile,
    ssh: Ssh = None,
    python: Python = "python3",
    first_port: FirstPort = None,
    hosts_model_folder: HostsFolder = None,
    allow_public_hosts: PublicHosts = False,
    behind_nat: BehindNat = None,
    timeout: Annotated[str, typer.Option(help="How long all of it may take.")] = "9s",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON on stdout.")
    ] = False,
) -> None:
    """Look at the hosts and edges of a plan, and say what a launch would stumble over.

    Starts an agent on each host, which starts no rank: can it be reached, has it the same version
    of hexplan and torch, the model, memory and free ports, and what do its edges carry? Exits with
    7 if something is wrong.
    """
    require_packages(RUNTIME)
    from hexplan.plan_file import read_plan
    from hexplan.render import words
    from hexplan.render.across.doctor_view import doctor_json, doctor_text, problems
    from hexplan_runtime.launch.doctor import Doctor

    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    options = HostOptions(
        False, ssh, python, first_port, hosts_model_folder, allow_public_hosts, behind_nat
    )
    hosts = options.hosts(plan)
    if hosts is None:
        message = "found no `address` of a host: the plan runs on this machine alone"
        raise InputError(message, hint="`hexplan launch PLAN` checks it as it starts")
    folder = str(hosts_model_folder or Path(plan.model.path or ".").absolute())
    limit_s = seconds("--timeout", timeout)
    assert limit_s is not None
    diagnosis = Doctor(plan, hosts, folder, limit_s).examine()
    emit((doctor_json if as_json else doctor_text)(plan, diagnosis))
    found = problems(plan, diagnosis)
    if found:
        message = f"found {words.count(len(found), 'problem')}: {found[0]}"
        raise LaunchError(message)
