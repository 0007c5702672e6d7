"""Groups of replicas that one object with a count of copies stands for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hexplan.export.deployment import Deployment, Member, Server
from hexplan.export.engines.figures import budget_share, kept_share

MOST_ROLES = 10
"""The most roles that a DisaggregatedSet may have."""


class Form(StrEnum):
    """What a group is written as."""

    DEPLOYMENT = "Deployment"
    LEADER_WORKER_SET = "LeaderWorkerSet"
    DISAGGREGATED_SET = "DisaggregatedSet"
    DEPLOYMENTS = "Deployments"


@dataclass(frozen=True, slots=True)
class Group:
    """Replicas of one form, on machines that can stand in for each other."""

    name: str
    """The name of its objects and of the Service in front of it."""
    form: Form
    servers: tuple[Server, ...]

    @property
    def first(self) -> Server:
        """The replica whose commands all of them run."""
        return self.servers[0]

    @property
    def weight(self) -> int:
        """Its replicas' weights together."""
        return sum(server.weight for server in self.servers)

    def hosts(self, index: int) -> tuple[str, ...]:
        """Return the machines on which a member may run."""
        return tuple(dict.fromkeys(server.members[index].host for server in self.servers))


def groups_of(deployment: Deployment) -> tuple[Group, ...]:
    """Return the groups of a deployment, in the order of their first replicas.

    Replicas are one group if they look alike to an engine: as many layers in each stage, the same
    types of devices at the same sites, equal shares of memory. Those of several objects, whose
    members find each other by name, are groups of their own.
    """
    alike: dict[object, list[Server]] = {}
    for server in deployment.servers:
        form = form_of(deployment, server)
        is_one_object = form in (Form.DEPLOYMENT, Form.LEADER_WORKER_SET)
        key = _look(deployment, server) if is_one_object else server.name
        alike.setdefault((form, key), []).append(server)
    return tuple(
        Group(f"hexplan-{servers[0].name}", form_of(deployment, servers[0]), tuple(servers))
        for servers in alike.values()
    )


def form_of(deployment: Deployment, server: Server) -> Form:
    """Return the simplest form in which a replica can be written.

    A LeaderWorkerSet has at most two shapes of pods: the first, and one for all others.
    """
    members = server.members
    if len(members) == 1:
        return Form.DEPLOYMENT
    finds_by_rank = deployment.engine.name != "llamacpp"
    if finds_by_rank and len({_pod_shape(member) for member in members[1:]}) == 1:
        return Form.LEADER_WORKER_SET
    return Form.DISAGGREGATED_SET if len(members) <= MOST_ROLES else Form.DEPLOYMENTS


def _pod_shape(member: Member) -> tuple[object, ...]:
    return member.shape, tuple(member.machine.devices)


def _look(deployment: Deployment, server: Server) -> tuple[object, ...]:
    shares = budget_share(deployment, server), kept_share(deployment, server)
    shapes = tuple((member.shape, tuple(member.machine.devices)) for member in server.members)
    return server.layers, shapes, shares, server.stages[0].tp
