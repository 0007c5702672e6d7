"""Watch the connections that this process has opened: whether they are up, and stay up.

Only ends that call are watched. Whoever connects to one that listens may be a stranger, who is sent
away and harms nobody; but a call that ends has lost the other end of its edge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

PING_MS: Final = 1000
"""How often a caller sends something, so that silence is noticed."""
UNANSWERED_MS: Final = 3000
"""A connection whose bytes the other machine does not even acknowledge for so long is lost."""
_PONG_MS: Final = 60_000
"""A busy process may answer late; its machine acknowledges in time."""
_LOOK_MS: Final = 100
_EVENTS: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


@dataclass(slots=True)
class _Call:
    name: str
    monitor: zmq.Socket[bytes]
    is_up: bool = False
    is_over: bool = False
    """Whether nobody wants to hear of it any more."""


class CallWatch:
    """Notices in a thread of its own when calls are up, and when one is lost.

    Parameters
    ----------
    lose
        Takes the name of a call that was up and is lost, each time; it is tried again for ever.
    """

    def __init__(self, lose: Callable[[str], None]) -> None:
        self._lose = lose
        self._calls: list[_Call] = []
        self._over = Event()
        self._changed = Event()
        self._thread: Thread | None = None

    def add(self, socket: zmq.Socket[bytes], name: str) -> None:
        """Watch a socket that is about to connect, once somebody waits for it."""
        socket.heartbeat_ivl = PING_MS
        socket.heartbeat_timeout = _PONG_MS
        socket.tcp_maxrt = UNANSWERED_MS
        socket.connect_timeout = UNANSWERED_MS
        self._calls.append(_Call(name, socket.get_monitor_socket(_EVENTS)))

    def await_all(self, timeout_s: float, names: Collection[str] | None = None) -> tuple[str, ...]:
        """Wait until all calls are up, or these, and return the names of those not in time."""
        calls = [call for call in self._calls if names is None or call.name in names]
        if not calls:
            return ()
        if self._thread is None:
            self._thread = Thread(target=self._watch, daemon=True, name="call watch")
            self._thread.start()
        deadline_s = time.monotonic() + timeout_s
        while missing := tuple(call.name for call in calls if not call.is_up):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return missing
            self._changed.wait(min(left_s, _LOOK_MS / 1000))
            self._changed.clear()
        return ()

    def forget(self, name: str) -> None:
        """Take a call for lost no more."""
        for call in self._calls:
            call.is_over = call.is_over or call.name == name

    def close(self) -> None:
        """Watch no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        for call in self._calls:
            call.monitor.close(linger=0)

    def _watch(self) -> None:
        poller = zmq.Poller()
        by_monitor: dict[zmq.Socket[bytes], _Call] = {}
        while not self._over.is_set():
            for call in list(self._calls):
                if call.is_over:
                    self._stop_watching(call, poller)
                elif call.monitor not in by_monitor:
                    by_monitor[call.monitor] = call
                    poller.register(call.monitor, zmq.POLLIN)
            for monitor, _ in poller.poll(_LOOK_MS):
                self._read(by_monitor[monitor])

    def _stop_watching(self, call: _Call, poller: zmq.Poller) -> None:
        self._calls.remove(call)
        if call.monitor in poller:
            poller.unregister(call.monitor)
        call.monitor.close(linger=0)

    def _read(self, call: _Call) -> None:
        event = recv_monitor_message(call.monitor)["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            call.is_up = True
            self._changed.set()
        elif call.is_up and not call.is_over and not self._over.is_set():
            call.is_up = False
            self._lose(call.name)
