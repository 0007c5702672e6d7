"""Begin a launch on its hosts: agents, keys, and whether all hosts have the same model."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.plan import Plan
from hexplan_runtime.agent.messages import FileSeen, HostSeen
from hexplan_runtime.launch.agents import Agents
from hexplan_runtime.launch.places import HostPlace, Hosts, has_addresses, host_places
from hexplan_runtime.net.keys import KeyPair
from hexplan_runtime.stage.messages import Across, Assignment

Seen = Sequence[tuple[HostPlace, HostSeen]]


def new_keys(hosts: Hosts) -> Across:
    """Return new keys for the edges of a launch; its coordinator listens nowhere."""
    listeners, callers = KeyPair.new(), KeyPair.new()
    return Across(
        address=None,
        listeners=(listeners.public.decode(), listeners.secret.decode()),
        callers=(callers.public.decode(), callers.secret.decode()),
        first_port=hosts.first_port,
        behind=hosts.reach.behind,
    )


def begin_on_hosts(agents: Agents, hosts: Hosts, assignment: Assignment, deadline_s: float) -> None:
    """Start an agent on each host of a plan, and check what they found.

    Raises
    ------
    LaunchError
        A host cannot be reached, or lacks something.
    InputError
        A host cannot run its part of the plan, or has another model.
    """
    places = host_places(assignment.plan, hosts.reach)
    folder = assignment.model_folder if hosts.model_folder is None else str(hosts.model_folder)
    agents.begin(places, hosts, assignment.model_copy(update={"model_folder": folder}))
    seen = agents.wait(deadline_s)
    require_same_torch(seen)
    require_same_files(seen)


def join_hosts(
    agents: Agents, hosts: Hosts, assignment: Assignment, added: Collection[int], timeout_s: float
) -> None:
    """Start an agent on each host of a plan's new stages that the launch did not have.

    Parameters
    ----------
    added
        Indices of the stages that are new.

    Raises
    ------
    HexplanError
        A host is of no use, or has another model; no agent is left on the new ones.
    """
    places = new_places(agents, hosts, assignment.plan, added)
    if not places:
        return
    deadline_s = time.monotonic() + timeout_s
    try:
        for place in places:
            agents.join(place, assignment, deadline_s)
        require_same_torch(agents.seen())
        require_same_files(agents.seen())
    except HexplanError:
        agents.leave({place.name for place in places})
        raise


def new_places(
    agents: Agents, hosts: Hosts, plan: Plan, added: Collection[int]
) -> Sequence[HostPlace]:
    """Return the hosts of a plan's new stages that the launch does not have yet.

    Raises
    ------
    InputError
        One has no address, or one that must not be used.
    """
    known = agents.hosts()
    strange = {plan.stages[stage].host for stage in added} - known
    if not strange:
        return ()
    has_addresses(plan)
    places = (place for place in host_places(plan, hosts.reach) if place.name in strange)
    return tuple(
        replace(place, stages=tuple(n for n in place.stages if n in added)) for place in places
    )


def require_same_torch(seen: Seen) -> None:
    """Refuse hosts whose torch differs from that of this machine, and so the numbers they make.

    Raises
    ------
    LaunchError
        A version differs.
    """
    needed = version("torch").partition("+")[0]
    for place, host in seen:
        if host.torch != needed:
            message = f"host {place.name}: found torch {host.torch}, needed {needed} as here"
            raise LaunchError(message, hint="`hexplan hosts prepare PLAN` installs it there")


def require_same_files(seen: Seen) -> None:
    """Refuse hosts whose files of weights differ in what they hold.

    Raises
    ------
    InputError
        Two hosts have a file of the same name with another size or header.
    """
    for _, message in different_files([(place.name, host.files) for place, host in seen]):
        raise InputError(message, hint="copy the same model to all hosts")


def different_files(seen: Sequence[tuple[str, Sequence[FileSeen]]]) -> Iterator[tuple[str, str]]:
    """Yield hosts with a file that differs from that of a host before them, and what differs."""
    first: dict[str, tuple[str, FileSeen]] = {}
    for host, files in seen:
        for file in files:
            other, known = first.setdefault(file.name, (host, file))
            if file != known:
                what = "size" if file.size_bytes != known.size_bytes else "header"
                yield host, f"{file.name}: found another {what} on host {host} than on {other}"
