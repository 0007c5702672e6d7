"""The options that say how a plan's hosts are reached, which several commands share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.output import emit
from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_runtime.launch.places import Hosts

OnThisMachine = Annotated[
    bool, typer.Option("--here", help="Run all hosts of the plan on this machine.")
]
Ssh = Annotated[
    str | None,
    typer.Option(help="The program that runs commands on a host, such as `ssh -p 2222`."),
]
Python = Annotated[str, typer.Option(help="The Python on the hosts that has hexplan.")]
FirstPort = Annotated[
    int | None,
    typer.Option(
        min=1024,
        max=65000,
        help="Hosts listen at this port and those after it, one for each edge; the system chooses"
        " ports otherwise.",
    ),
]
HostsFolder = Annotated[
    Path | None,
    typer.Option(
        help="The folder with the weights on the hosts, if not as on this machine; a quoted `~`"
        " stands for the home of the user there."
    ),
]
PublicHosts = Annotated[
    bool,
    typer.Option("--allow-public-hosts", help="Let hosts listen on public addresses."),
]
BehindNat = Annotated[
    list[str] | None,
    typer.Option(
        help="A host that other hosts cannot call, as it is behind NAT or a firewall: it calls"
        " them; repeatable."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would run where, and start nothing.")
]


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What a command's options say of a plan's hosts."""

    here: bool
    ssh: str | None
    python: str
    first_port: int | None
    model_folder: Path | None
    may_be_public: bool
    behind_nat: Sequence[str] | None = None
    """Hosts that others cannot call."""

    def hosts(self, plan: Plan) -> Hosts | None:
        """Return how to reach a plan's hosts; None runs all of them on this machine.

        Raises
        ------
        InputError
            An address must not be used, or an option is wrong.
        """
        from hexplan_runtime.launch.places import Hosts, has_addresses, host_places, require_hosts
        from hexplan_runtime.probe.reach import Reach
        from hexplan_runtime.processes.command import SSH

        if self.here or not has_addresses(plan):
            return None
        behind = tuple(self.behind_nat or ())
        reach = Reach(ssh_words(self.ssh) or SSH, self.python, self.may_be_public, behind)
        require_hosts(plan, behind)
        host_places(plan, reach)
        return Hosts(reach, self.first_port, self.model_folder)


def emit_dry_run(plan: Plan, hosts: Hosts | None, model_folder: Path | None) -> None:
    """Print what a launch would start where."""
    from hexplan.render.across.dry_run_view import dry_run_text
    from hexplan_runtime.launch.dry_run import planned_starts

    emit(dry_run_text(plan, planned_starts(plan, hosts, model_folder)))


def ssh_words(text: str | None) -> tuple[str, ...] | None:
    """Return the program of `--ssh` and its arguments, or None where it is not given.

    Raises
    ------
    InputError
        It is empty, or a quote is not closed.
    """
    if text is None:
        return None
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        message = f"--ssh: found {text!r}: {error}"
        raise InputError(message) from error
    if not words:
        message = "--ssh: found nothing, needed a program and its arguments"
        raise InputError(message)
    return words
