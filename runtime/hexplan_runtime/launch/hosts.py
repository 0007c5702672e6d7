"""Begin a launch on its hosts: agents, keys, and whether all hosts have the same model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version

from hexplan.errors import InputError, LaunchError
from hexplan_runtime.agent.messages import FileSeen, HostSeen
from hexplan_runtime.launch.agents import Agents
from hexplan_runtime.launch.places import HostPlace, Hosts, host_places
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
