"""The connection at which the two ends of a plain edge meet, which later epochs take as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq

from hexplan_runtime.net.gloo import PeerLost

MEETING: Final = b"meeting"
"""Begins what the ends of a plain edge tell each other; frames of batches are longer."""


class Control:
    """One end of a connection on which both ends speak, as strangers cannot; one thread uses it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        """It carries the frames of batches, once the ends have met."""
        self.address = bytes(socket.get(zmq.LAST_ENDPOINT)).decode()
        """Where it listens, with the port that the system chose, or whom it calls."""
        self.close: Callable[[], None] = socket.close
        """Closes it; whoever waits at the socket sets what does that instead."""

    def tell(self, name: bytes, value: bytes, limit_s: float) -> None:
        """Tell the other end a value, once it is there."""
        if not self.socket.poll(int(1000 * limit_s), zmq.POLLOUT):
            raise PeerLost("nobody came to the other end in time")
        self.socket.send_multipart((MEETING, name, value))

    def hear(self, limit_s: float) -> tuple[bytes, bytes]:
        """Wait for the next value that the other end tells, and return its name and the value."""
        if not self.socket.poll(int(1000 * limit_s), zmq.POLLIN):
            raise PeerLost("the other end said nothing in time")
        _, name, value = self.socket.recv_multipart()
        return name, value
