"""Where parts of replicas are, for targets that name the plan's machines."""

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
    machines = {part.machine.name for part in server.parts}
    places = []
    for index, part in enumerate(server.parts):
        is_alone = len(machines) == 1 and part.machine.address is None
        own = "127.0.0.1" if is_alone else part.address
        places.append(Place(own, own, part.devices, str(index)))
    return tuple(places)


def waiting(server: Server, places: tuple[Place, ...]) -> str:
    """Return lines of bash that wait until all RPC servers of a replica listen."""
    lines = [
        f"until (exec 3<>/dev/tcp/{place.reach}/{part.port}) 2>/dev/null; do sleep 1; done"
        for part, place in zip(server.parts, places, strict=True)
        if part.port is not None and not part.serves
    ]
    return "".join(f"{line}\n" for line in lines)
