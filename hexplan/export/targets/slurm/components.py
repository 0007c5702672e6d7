"""Components of heterogeneous jobs: hosts of one kind, asked for together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hexplan.errors import CannotExpress
from hexplan.export.names import host_name
from hexplan.host import Host


@dataclass(frozen=True, slots=True)
class Component:
    """Hosts that give equally many devices of the same types."""

    hosts: tuple[str, ...]
    """Their names, which Slurm knows them by."""
    devices: int
    """How many devices each of them gives; 0 for CPU slots."""


def components(
    machines: Sequence[Host], used: Mapping[str, Sequence[int]], gpu_kinds: Mapping[str, bool]
) -> tuple[Component, ...]:
    """Return the components of some hosts, in the order of their first hosts.

    Parameters
    ----------
    used
        The devices that each host gives, by its name.
    gpu_kinds
        Whether a type of device is something that Slurm counts as a GPU.

    Raises
    ------
    CannotExpress
        The hosts are at several sites, or have devices that Slurm cannot tell apart.
    """
    sites = sorted({machine.site for machine in machines})
    if len(sites) > 1:
        message = f"the hosts are at {' and '.join(sites)}, and a Slurm job runs in one cluster"
        raise CannotExpress(message, hint="write scripts instead, and start them at each site")
    alike: dict[tuple[str, ...], list[str]] = {}
    for machine in machines:
        devices = used[machine.name]
        types = [machine.devices[device] for device in devices]
        if len(set(machine.devices)) > 1 and len(devices) < len(machine.devices):
            known = " and ".join(sorted(set(machine.devices)))
            message = f"host {machine.name} has {known}, and a job cannot ask for some of them"
            hint = "let the plan use all devices of the host, or write scripts instead"
            message += " by their type"
            raise CannotExpress(message, hint=hint)
        alike.setdefault(tuple(sorted(types)), []).append(host_name(machine.name))
    return tuple(
        Component(tuple(hosts), sum(gpu_kinds[name] for name in types))
        for types, hosts in alike.items()
    )


def directives(name: str, parts: Sequence[Component]) -> list[str]:
    """Return the `#SBATCH` lines of a job, a block for each component."""
    lines = [f"#SBATCH --job-name={name}", f"#SBATCH --output={name}-%j.log"]
    for index, part in enumerate(parts):
        if index:
            lines.append("#SBATCH hetjob")
        lines += [
            f"#SBATCH --nodes={len(part.hosts)}",
            f"#SBATCH --nodelist={','.join(part.hosts)}",
            "#SBATCH --ntasks-per-node=1",
        ]
        if part.devices:
            lines.append(f"#SBATCH --gpus-per-node={part.devices}")
    return lines


def groups(parts: Sequence[Component]) -> str:
    """Return what makes `srun` start a step over all components, and a blank after it."""
    if len(parts) == 1:
        return ""
    return f"--het-group={','.join(map(str, range(len(parts))))} "
