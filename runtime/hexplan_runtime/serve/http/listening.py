"""Listening: the address of a server, taken before anything else is started."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from hexplan.errors import InputError


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and for how long to let requests end."""

    address: str
    """An IP address."""
    port: int
    """0 takes a free one."""
    drain_s: float


def bind(place: Place) -> socket.socket:
    """Return a socket that holds the address from now on, and listens later.

    Raises
    ------
    InputError
        The address is in use, or not this user's to take.
    """
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((place.address, place.port))
    except OSError as error:
        bound.close()
        message = f"cannot listen at {place.address} port {place.port}: {error.strerror}"
        raise InputError(message, hint="`--port 0` takes a free port") from error
    return bound


def url_of(listening: socket.socket) -> str:
    """Return the address at which clients reach a socket."""
    address, port = listening.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
