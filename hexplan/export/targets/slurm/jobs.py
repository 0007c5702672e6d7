"""A batch script for each replica, which runs its members on the hosts that the plan names."""

from __future__ import annotations

from dataclasses import replace

from hexplan.export.command import Command, Place, shell_script
from hexplan.export.deployment import Deployment, Member, Server
from hexplan.export.engines import WORDINGS
from hexplan.export.engines.sglang import VISIBLE
from hexplan.export.folder import File
from hexplan.export.names import authority
from hexplan.export.places import waiting
from hexplan.export.readme import code, readme, table
from hexplan.export.targets.slurm.components import Component, components, directives, groups

_END = "END_OF_NODE_SCRIPT"


def slurm(deployment: Deployment) -> tuple[File, ...]:
    """Return a batch script for each replica, and a README.

    Raises
    ------
    CannotExpress
        A replica's hosts are at several sites, or Slurm cannot tell their devices apart.
    """
    files, rows, checks = [], [], []
    for server in deployment.servers:
        found = _components(deployment, server)
        name = f"hexplan-{server.name}"
        files.append(File(f"{name}.sbatch", _batch(deployment, server, found), is_script=True))
        hosts = ", ".join(host for one in found for host in one.hosts)
        rows.append((f"{name}.sbatch", str(len(found)), hosts))
        front = _places(server)[server.members.index(server.front)]
        path = WORDINGS[deployment.engine.name].ready
        checks.append(f"$ curl --fail http://{authority(str(front.own), server.api_port)}{path}")
    sections = [
        "## Start it",
        "Each replica is a job. Hosts are asked for by the names that the plan gives them; a job"
        " has a component for each kind of host (heterogeneous jobs need the backfill scheduler).",
        table(("file", "components", "hosts"), rows),
        code(*(f"$ sbatch hexplan-{server.name}.sbatch" for server in deployment.servers)),
        f"All hosts need {deployment.engine.title} {deployment.engine.version} on their path, and"
        f" the model at the same place: `{deployment.model}`. Add your `--partition`, `--account`"
        " and `--time` on the command line of sbatch, once for each component, with ` : ` between"
        " them.",
        "## See that it is up",
        code("$ squeue --me", *checks),
        "## Share out requests",
        "In proportion to the shares above: `hexplan export nginx` (or `envoy`) writes the file.",
    ]
    title = f"{deployment.plan.model.name} on {deployment.engine.title}, in Slurm"
    return (*files, readme(deployment, title, sections))


def _components(deployment: Deployment, server: Server) -> tuple[Component, ...]:
    machines = {member.machine.name: member.machine for member in server.members}
    used: dict[str, list[int]] = {}
    for member in server.members:
        used.setdefault(member.machine.name, []).extend(member.devices)
    types = deployment.plan.cluster.device_types
    return components(
        list(machines.values()), used, {kind.name: kind.kind != "cpu" for kind in types}
    )


def _batch(deployment: Deployment, server: Server, found: tuple[Component, ...]) -> str:
    places = _places(server)
    lines = [
        "#!/usr/bin/env bash",
        *directives(f"hexplan-{server.name}", found),
        "set -euo pipefail",
        "",
        "# What each host runs, by its name.",
        f"node_script=$(cat <<'{_END}'",
        "set -euo pipefail",
        'case "${SLURMD_NODENAME:?}" in',
        *_cases(deployment, server, places),
        '*) echo "$SLURMD_NODENAME is not in the plan" >&2; exit 1 ;;',
        "esac",
        _END,
        ")",
        f'srun {groups(found)}--kill-on-bad-exit=1 bash -c "$node_script"',
        "",
    ]
    return "\n".join(lines)


def _cases(deployment: Deployment, server: Server, places: tuple[Place, ...]) -> list[str]:
    by_host: dict[str, list[int]] = {}
    for index, member in enumerate(server.members):
        by_host.setdefault(member.host, []).append(index)
    lines: list[str] = []
    for host, indices in by_host.items():
        scripts = [_script(deployment, server, places, index) for index in indices]
        lines.append(f"{host})")
        if len(scripts) == 1:
            lines.append(scripts[0])
        else:
            lines += [f"(\n{script}) &" for script in scripts]
            lines.append("wait -n  # when one member ends, the step does")
        lines.append(";;")
    return lines


def _script(deployment: Deployment, server: Server, places: tuple[Place, ...], index: int) -> str:
    command = WORDINGS[deployment.engine.name].command(deployment, server, places, index)
    # Slurm itself tells processes which devices they have.
    kept = tuple(one for one in command.environment if one.name not in VISIBLE.values())
    script = shell_script(Command(kept, command.words))
    return waiting(server, places) + script if server.members[index].serves else script


def _places(server: Server) -> tuple[Place, ...]:
    """Return places with the plan's addresses, or else the hosts' names; devices from 0 on."""
    taken: dict[str, int] = {}
    found = []
    for index, member in enumerate(server.members):
        own = member.address if member.machine.address is not None else member.host
        first = taken.get(member.host, 0)
        taken[member.host] = first + len(member.devices)
        devices = _from(first, member)
        found.append(replace(Place(own, own, member.devices, str(index)), devices=devices))
    return tuple(found)


def _from(first: int, member: Member) -> tuple[int, ...]:
    """Return the devices of a member as a job counts them: from 0 on, member after member."""
    order = sorted(member.devices)
    return tuple(first + order.index(device) for device in member.devices)
