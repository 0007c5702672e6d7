"""hexplan's own runtime in a Slurm job: its agents are started by `srun` in place of ssh."""

from __future__ import annotations

from importlib.metadata import version

from hexplan.export.folder import File
from hexplan.export.names import address, host_name
from hexplan.export.readme import README, code, table
from hexplan.export.targets.slurm.components import Component, components, directives
from hexplan.host import Host
from hexplan.plan import Plan
from hexplan.plan_file import plan_json

_BATCH = "hexplan.sbatch"
_AS_SSH = "srun-as-ssh.sh"


def agents_in_slurm(plan: Plan) -> tuple[File, ...]:
    """Return a batch script, what starts agents in its job, the plan, and a README.

    Raises
    ------
    CannotExpress
        The hosts are at several sites, or one has no address.
    """
    used: dict[str, list[int]] = {}
    for stage in plan.stages:
        used.setdefault(stage.host, []).extend(stage.devices)
    machines = [plan.cluster.host_by_name[name] for name in used]
    kinds = {kind.name: kind.kind != "cpu" for kind in plan.cluster.device_types}
    found = components(machines, used, kinds)
    return (
        File(_BATCH, _batch(found), is_script=True),
        File(_AS_SSH, _as_ssh(machines, found), is_script=True),
        File("plan.json", plan_json(plan)),
        _readme(plan, found),
    )


def _batch(found: tuple[Component, ...]) -> str:
    lines = [
        "#!/usr/bin/env bash",
        *directives("hexplan", found),
        "set -euo pipefail",
        'cd "${SLURM_SUBMIT_DIR:?}"',
        f'exec hexplan serve plan.json --yes --ssh "./{_AS_SSH}" "$@"',
        "",
    ]
    return "\n".join(lines)


def _as_ssh(machines: list[Host], found: tuple[Component, ...]) -> str:
    component = {host: index for index, part in enumerate(found) for host in part.hosts}
    cases = []
    for machine in machines:
        host = host_name(machine.name)
        place = address(machine.name, machine.address)
        group = f"--het-group={component[host]} " if len(found) > 1 else ""
        cases.append(f"{place}) where=({group}--nodelist={host}) ;;")
    lines = [
        "#!/usr/bin/env bash",
        "# Called like ssh, with an address and a command: runs the command on the job's node of",
        "# that address. stdin passes through; nothing secret is in an argument.",
        "set -euo pipefail",
        'case "${1:?}" in',
        *cases,
        '*) echo "no node of this job has the address $1" >&2; exit 255 ;;',
        "esac",
        "shift",
        'exec srun "${where[@]}" --nodes=1 --ntasks=1 --overlap --unbuffered "$@"',
        "",
    ]
    return "\n".join(lines)


def _readme(plan: Plan, found: tuple[Component, ...]) -> File:
    rows = [
        (str(index), ", ".join(part.hosts), str(part.devices) if part.devices else "none")
        for index, part in enumerate(found)
    ]
    text = "\n\n".join(
        [
            f"# {plan.model.name} on hexplan, in Slurm",
            f"Written by hexplan {version('hexplan')}: one job for the whole plan, with a component"
            " for each kind of host.",
            table(("component", "hosts", "GPUs of each"), rows),
            "## Start it",
            "All hosts need hexplan with its runtime, and the model at the same path. Arguments"
            f" after `{_BATCH}` are passed on to `hexplan serve`.",
            code(f"$ sbatch {_BATCH} --api-key-file KEYS --host ADDRESS"),
            f"The job's first node runs `hexplan serve`, which starts an agent on each host with"
            f" `{_AS_SSH}`. Agents get the plan's slices and the keys of the launch on stdin.",
            "## See that it is up",
            code("$ squeue --me", "$ srun --jobid JOB --overlap hexplan status"),
        ]
    )
    return File(README, text + "\n")
