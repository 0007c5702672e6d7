"""What an engine needs for its files: its processes, and the command of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from hexplan.engines import Replica
from hexplan.errors import CannotExpress
from hexplan.export.command import Command, Place
from hexplan.export.deployment import Deployment, Member, Server
from hexplan.plan import Plan

MembersOf = Callable[[Plan, Replica, int, tuple[Server, ...]], tuple[Member, ...]]
CommandOf = Callable[[Deployment, Server, Sequence[Place], int], Command]


@dataclass(frozen=True, slots=True)
class Wording:
    """How an engine is told what to run."""

    members: MembersOf
    """From a plan, a replica, the port of its API and the servers before it, its processes."""
    command: CommandOf
    """From a server, where its members are and the index of one of them, what that one runs."""
    image: str
    """The engine's own container image, of the version that hexplan knows."""
    ready: str
    """The path that answers once it serves."""


def nodes(
    plan: Plan, replica: Replica, api_port: int, _before: tuple[Server, ...]
) -> tuple[Member, ...]:
    """Return one member for each machine, the first of which answers requests."""
    machines = {machine.name: machine for host in plan.cluster.hosts for machine in host.machines}
    placed = [(rank, one.stage.id) for one in replica.stages for rank in one.ranks]
    members: list[Member] = []
    for name, group in groupby(placed, key=lambda pair: pair[0].machine):
        ranks = list(group)
        members.append(
            Member(
                name=f"node{len(members)}",
                machine=machines[name],
                devices=tuple(rank.device for rank, _ in ranks),
                stages=tuple(dict.fromkeys(stage for _, stage in ranks)),
                port=None if members else api_port,
                serves=not members,
            )
        )
    return tuple(members)


def require_kinds(deployment: Deployment, server: Server, known: tuple[str, ...]) -> None:
    """Refuse a replica on devices of another platform.

    Raises
    ------
    CannotExpress
        A device is of a platform for which no file can be written.
    """
    other = [kind for kind in server.kinds if kind not in known]
    if other:
        title = deployment.engine.title
        message = f"replica {server.name} runs on {' and '.join(other)} devices, and files for"
        message += f" {title} are written for {', '.join(known)}"
        raise CannotExpress(
            message,
            hint="exclude these devices in cluster.yaml, or export for another engine",
        )
