"""Try the way that an edge takes: is it open, how long does a message take, how much passes.

Both ends prove who they are and encrypt, as the ends of edges do.
"""

from __future__ import annotations

import time
from threading import Thread
from typing import Final

import zmq
from zmq.auth.thread import ThreadAuthenticator

from hexplan_runtime.net.keys import Doorkeeper, LaunchKeys

_PINGS: Final = 5
_FIRST_BYTES: Final = 2**16
_MOST_BYTES: Final = 2**26
_LONG_S: Final = 0.15
"""A message that takes this long tells the bandwidth."""


class TrialListener:
    """Answers callers who hold the keys of a launch, in a thread of its own, until closed.

    Parameters
    ----------
    address
        `tcp://IP:PORT`, or `tcp://IP:*` for a port that the system chooses.

    Raises
    ------
    zmq.ZMQError
        Another program listens there.
    """

    def __init__(self, address: str, keys: LaunchKeys) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._doorkeeper = ThreadAuthenticator(self._context)
        self._doorkeeper.start()
        self._doorkeeper.configure_curve_callback("*", Doorkeeper(keys.callers.public))
        socket = self._context.socket(zmq.REP)
        socket.linger = 0
        socket.ipv6 = "[" in address
        socket.maxmsgsize = _MOST_BYTES
        socket.curve_server = True
        socket.curve_secretkey = keys.listeners.secret
        socket.curve_publickey = keys.listeners.public
        try:
            socket.bind(address)
        except zmq.ZMQError:
            socket.close()
            self._doorkeeper.stop()
            self._context.term()
            raise
        self.address = bytes(socket.get(zmq.LAST_ENDPOINT)).decode()
        """Where it listens, with its port."""
        self._thread = Thread(target=_answer, args=(socket,), daemon=True, name="trials")
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._doorkeeper.stop()
        self._context.term()
        self._thread.join()


def _answer(socket: zmq.Socket[bytes]) -> None:
    try:
        while True:
            socket.recv()
            socket.send(b"")
    except zmq.ContextTerminated:
        socket.close()


def try_call(address: str, keys: LaunchKeys, limit_s: float) -> tuple[float | None, float | None]:
    """Return the latency in seconds and the bandwidth in bytes/s to a listener.

    The latency is None if nobody answers in time, the bandwidth if there is no time to measure it.
    """
    deadline_s = time.monotonic() + limit_s
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.linger = 0
    socket.ipv6 = "[" in address
    socket.curve_serverkey = keys.listeners.public
    socket.curve_secretkey, socket.curve_publickey = keys.callers.secret, keys.callers.public
    try:
        socket.connect(address)
        trips_s = [_trip_s(socket, b"", deadline_s) for _ in range(_PINGS)]
        trip_s = min(trips_s[1:])
    except TimeoutError:
        context.destroy()
        return None, None
    best: float | None = None
    size = _FIRST_BYTES
    try:
        while size <= _MOST_BYTES:
            taken_s = _trip_s(socket, bytes(size), deadline_s)
            best = size / max(taken_s - trip_s, 1e-9)
            if taken_s > max(_LONG_S, 4 * trip_s):
                break
            size *= 2
    except TimeoutError:
        pass
    context.destroy()
    return trip_s / 2, best


def _trip_s(socket: zmq.Socket[bytes], data: bytes, deadline_s: float) -> float:
    begun_s = time.perf_counter()
    socket.send(data, copy=False)
    left_ms = int(1000 * (deadline_s - time.monotonic()))
    if left_ms <= 0 or not socket.poll(left_ms):
        raise TimeoutError
    socket.recv()
    return time.perf_counter() - begun_s
