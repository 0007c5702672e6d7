"""The rows of Helix's MILP, one function for each family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pulp

from hexplan.constants import MICRO
from hexplan.cost import activation_bytes
from hexplan.spec import Spec
from hexplan_solver.baselines.helix.links import HelixLink
from hexplan_solver.baselines.helix.model import HelixModel
from hexplan_solver.baselines.machines import BaselineMachine
from hexplan_solver.flow.network import OUTSIDE


def add_rows(helix: HelixModel, spec: Spec, machines: Sequence[BaselineMachine]) -> None:
    """Add the objective (all flow from entry) and every row."""
    rows = helix.model
    rows += pulp.lpSum(helix.flow[link] for link in helix.entry)
    _place(helix, machines)
    _conserve(helix, spec, machines)
    for link, flow in helix.flow.items():
        rows += flow <= link.tokens_per_s * helix.switch[link], f"link_{link.name}"
        _open_only_valid(helix, link)


def _place(helix: HelixModel, machines: Sequence[BaselineMachine]) -> None:
    """Let each machine hold one number of layers, and end within the model."""
    rows = helix.model
    for machine in machines:
        i = machine.position
        rows += pulp.lpSum(helix.hold[i]) == 1, f"hold_{i}"
        rows += helix.end(i) <= helix.num_layers, f"end_{i}"


def _conserve(helix: HelixModel, spec: Spec, machines: Sequence[BaselineMachine]) -> None:
    """Let a machine pass on all that it receives, within its own speed and its network card's."""
    rows = helix.model
    inward, outward = defaultdict(list), defaultdict(list)
    for link, flow in helix.flow.items():
        inward[link.target].append(flow)
        outward[link.source].append(flow)
    for machine in machines:
        i, nic = machine.position, _nic(spec, machine)
        rows += pulp.lpSum(inward[i]) == pulp.lpSum(outward[i]), f"conserve_{i}"
        capacity = pulp.lpSum(
            min(speed / MICRO, nic) * hold
            for speed, hold in zip(machine.speeds[1:], helix.hold[i], strict=True)
        )
        rows += pulp.lpSum(inward[i]) <= capacity, f"machine_{i}"


def _open_only_valid(helix: HelixModel, link: HelixLink) -> None:
    """Keep a link's switch off unless the layers of its ends meet (big M: L or L + 1)."""
    rows, total, switch = helix.model, helix.num_layers, helix.switch[link]
    name = link.name
    if link.source == OUTSIDE:
        rows += helix.start[link.target] <= total * (1 - switch), f"starts_{name}"
        return
    end = helix.end(link.source)
    if link.target == OUTSIDE:
        rows += total * switch <= end, f"ends_{name}"
        return
    enters, fits = helix.enters[link], helix.fits[link]
    rows += helix.start[link.target] - end <= (total + 1) * (1 - enters), f"enters_{name}"
    rows += helix.end(link.target) - end >= 1 - (total + 1) * (1 - fits), f"fits_{name}"
    rows += 2 * switch <= enters + fits, f"meets_{name}"


def _nic(spec: Spec, machine: BaselineMachine) -> float:
    """Return what the slower direction of a machine's network card carries, in tokens/s."""
    host = spec.cluster.host_by_name[machine.host]
    per_token = activation_bytes(spec.model)
    return min(host.nic_in_bytes_per_s, host.nic_out_bytes_per_s) / per_token
