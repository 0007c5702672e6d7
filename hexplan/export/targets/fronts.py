"""Where requests go: the replicas' front members, for files that share out requests."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.export.deployment import Deployment
from hexplan.export.places import planned_places
from hexplan.export.readme import table


@dataclass(frozen=True, slots=True)
class Front:
    """The end of a replica that answers requests."""

    name: str
    """The replica's name."""
    address: str
    port: int
    weight: int


def fronts(deployment: Deployment) -> tuple[Front, ...]:
    """Return the front of each replica.

    Raises
    ------
    CannotExpress
        A machine has no address, or one that is not fit.
    """
    found = []
    for server in deployment.servers:
        place = planned_places(server)[server.members.index(server.front)]
        found.append(Front(server.name, str(place.own), server.api_port, server.weight))
    return tuple(found)


def weights_table(deployment: Deployment) -> str:
    """Return the weights beside the shares that they stand for."""
    total = sum(server.weight for server in deployment.servers)
    rows = [
        (
            server.name,
            str(server.weight),
            f"{server.weight / total:.3%}",
            f"{float(server.share):.3%}",
        )
        for server in deployment.servers
    ]
    return table(("replica", "weight", "share", "planned"), rows)
