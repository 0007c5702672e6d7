"""Where members of replicas are, for targets that name the plan's machines."""

from __future__ import annotations

from hexplan.export.command import Place
from hexplan.export.deployment import Server


def planned_places(server: Server) -> tuple[Place, ...]:
    """Return the plan's addresses and device indices.

    A replica on one machine that has no address listens on the loopback address.

    Raises
    ------
    CannotExpress
        A machine of several has no address, or one that is not fit.
    """
    machines = {member.machine.name for member in server.members}
    places = []
    for index, member in enumerate(server.members):
        is_alone = len(machines) == 1 and member.machine.address is None
        own = "127.0.0.1" if is_alone else member.address
        places.append(Place(own, own, member.devices, str(index)))
    return tuple(places)


def waiting(server: Server, places: tuple[Place, ...]) -> str:
    """Return lines of bash that wait until all RPC servers of a replica listen."""
    lines = [
        f"until (exec 3<>/dev/tcp/{place.reach}/{member.port}) 2>/dev/null; do sleep 1; done"
        for member, place in zip(server.members, places, strict=True)
        if member.port is not None and not member.serves
    ]
    return "".join(f"{line}\n" for line in lines)
