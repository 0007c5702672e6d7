"""How a plan's hosts are reached, and what the coordinator tells their agents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hexplan.cluster import COORDINATOR
from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan_runtime.net.addresses import is_own
from hexplan_runtime.probe.reach import HostAddress, Reach
from hexplan_runtime.processes import Here, Starter
from hexplan_runtime.stage.topology import launch_edges, listener


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of a launch across machines."""

    reach: Reach = field(default_factory=Reach)
    """How agents are started there."""
    first_port: int | None = None
    """Edge number `n` listens at this port + `n`; the system chooses ports if None."""
    model_folder: Path | None = None
    """The model's folder on every host; as on this machine if None."""
    spares: int = 0
    """Ranks that wait on every host with their libraries read."""


@dataclass(frozen=True, slots=True)
class HostPlace:
    """A host of a plan that runs stages."""

    name: str
    address: str
    stages: tuple[int, ...]
    """Indices of its stages in the plan."""
    listens: tuple[int, ...]
    """Numbers of the edges between machines at which its leaders listen."""
    is_here: bool
    """Whether it is this machine."""

    def starter(self, reach: Reach) -> Starter:
        """Return what starts its agent."""
        if self.is_here:
            return Here()
        return reach.starter(HostAddress(self.name, self.address))


def has_addresses(plan: Plan) -> bool:
    """Say whether a plan's hosts have addresses: then they are machines of their own.

    Raises
    ------
    InputError
        Some have one and others have none, or several hosts have the same one.
    """
    used = _used(plan)
    without = [name for name, address in used.items() if address is None]
    if without and len(without) < len(used):
        message = f"found hosts with an `address`, and others without: {', '.join(sorted(without))}"
        hint = (
            "give every host that the plan uses an `address` in the spec and solve again, or run"
            " all of them on this machine: `--here`"
        )
        raise InputError(message, hint=hint)
    return not without


def host_places(plan: Plan, reach: Reach) -> Sequence[HostPlace]:
    """Return where the stages of a plan run.

    Raises
    ------
    InputError
        An address must not be used, or a stage spans several machines.
    """
    places: dict[str, HostPlace] = {}
    for name, address in _used(plan).items():
        assert address is not None
        reach.check(HostAddress(name, address))
        other = next((one for one in places.values() if one.address == address), None)
        if other is not None:
            message = f"{other.name} and {name}: found the same address {address} twice"
            raise InputError(message, hint="each host needs an address of its own, or none has one")
        if plan.cluster.host_by_name[name].parts:
            message = f"{name}: found joined machines, needed a stage's devices in one machine"
            hint = "`launch` runs them on this machine with `--here`; solve without `join`"
            raise InputError(message, hint=hint)
        mine = tuple(index for index, stage in enumerate(plan.stages) if stage.host == name)
        listens = _listens(plan, name, reach.behind)
        places[name] = HostPlace(name, address, mine, listens, is_own(address))
    _require_callers(plan, reach.behind)
    return tuple(places.values())


def _used(plan: Plan) -> Mapping[str, str | None]:
    """Return the addresses of the hosts that run stages, in the order of the plan."""
    hosts = plan.cluster.host_by_name
    return {stage.host: hosts[stage.host].address for stage in plan.stages}


def require_hosts(plan: Plan, names: Collection[str]) -> None:
    """Refuse names of hosts behind NAT that the plan does not use.

    Raises
    ------
    InputError
        There is one.
    """
    used = _used(plan)
    for name in names:
        if name not in used:
            message = f"--behind-nat: found {name}, needed a host of the plan: {', '.join(used)}"
            raise InputError(message)


def _require_callers(plan: Plan, behind: Collection[str]) -> None:
    """Refuse edges of which neither end can call the other.

    Raises
    ------
    InputError
        There is one.
    """
    for ends in map(set, edge_hosts(plan, behind)):
        if len(ends) == 2 and ends <= set(behind):
            one, other = sorted(ends)
            message = f"{one} and {other} exchange activations, and neither can be called"
            hint = "join them in a VPN, or plan without a link between them"
            raise InputError(message, hint=hint)


def edge_hosts(plan: Plan, behind: Collection[str] = ()) -> Sequence[tuple[str, str]]:
    """Return, for each edge, the host that listens and the one that calls, or the coordinator."""
    places = {stage.id: stage.host for stage in plan.stages}
    found = []
    for edge in launch_edges(plan):
        ends = tuple(places.get(end, COORDINATOR) for end in edge)
        is_source = listener(plan, edge, behind) == edge[0]
        found.append((ends[0], ends[1]) if is_source else (ends[1], ends[0]))
    return found


def _listens(plan: Plan, host: str, behind: Collection[str]) -> tuple[int, ...]:
    ends = enumerate(edge_hosts(plan, behind))
    return tuple(n for n, (listener, caller) in ends if listener == host != caller)
