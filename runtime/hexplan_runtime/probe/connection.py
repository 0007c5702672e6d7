"""Timing the connection between two hosts: rank 0 leads and takes the times, rank 1 follows.

A stretch is timed only when the other end already waits for the message, as a receiving rank of a
launch does. The leader announces a large message first, so that both ends have memory for it.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from statistics import median
from typing import Final

import torch
from torch import Tensor
from torch._C._distributed_c10d import Work

from hexplan_runtime.net.gloo import Group, PeerLost, finish
from hexplan_runtime.probe.messages import Figures


class Signal(IntEnum):
    """What the leader may ask of the follower."""

    PING = 0
    """To answer."""
    TAKE = 1
    """To receive a message of so many bytes."""
    GIVE = 2
    """To send a message of so many bytes."""
    END = 3
    """To stop following."""


WARMUPS, MOST_TRIPS, FEWEST_TRIPS = 3, 50, 5
"""Round trips of tiny messages: those that are not counted, and how many are counted at most and at
least. Chosen by trial."""
TRIPS_S: Final = 1.0
"""After this time, the fewest round trips are enough."""
FIRST_BYTES: Final = 2**16
MOST_BYTES: Final = 2**27
"""Messages double from the first size, until they take long enough or reach this one."""
LONG_S: Final = 0.1
"""A message takes long enough if it takes this, and..."""
LONG_TRIPS: Final = 8
"""...this many round trips, so that the latency is a small part of it."""
REPEATS: Final = 3
"""How often the largest message is sent; the fastest counts, as others share the link."""
_LEAST_WAIT_S = 1e-3
"""gloo takes a timeout of 0 for none at all."""


@dataclass(slots=True)
class Connection:
    """One end of a connection, until its deadline (monotonic clock)."""

    group: Group
    peer: int
    """Rank of the other end."""
    deadline_s: float
    _bulk: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.uint8))

    def has_time(self, seconds: float) -> bool:
        """Say whether something that takes this long would end before the deadline."""
        return time.monotonic() + seconds < self.deadline_s

    def expect(self, x: Tensor) -> Work:
        """Start to receive a message in the background."""
        return self.group.start_receive(x, self.peer)

    def done(self, work: Work) -> None:
        """Wait until a send or receive is over; at the deadline the peer counts as lost."""
        left_s = max(self.deadline_s - time.monotonic(), _LEAST_WAIT_S)
        finish(work, datetime.timedelta(seconds=left_s))

    def send(self, x: Tensor) -> None:
        """Send, and wait until it is on its way."""
        self.done(self.group.start_send(x, self.peer))

    def bulk(self, num_bytes: int) -> Tensor:
        """Return memory for a large message, with all its pages in place already."""
        if self._bulk.numel() != num_bytes:
            self._bulk = torch.ones(num_bytes, dtype=torch.uint8)
        return self._bulk


def control(signal: int = Signal.END, num_bytes: int = 0) -> Tensor:
    """Return a small message: what the leader asks, or room for the next one."""
    return torch.tensor([signal, num_bytes], dtype=torch.int64)


def lead(connection: Connection, *, is_forward: bool, is_backward: bool) -> Figures:
    """Measure a connection, and let the follower go.

    Raises
    ------
    PeerLost
        The other end is gone, or silent.
    """
    trips_s = _round_trips_s(connection)
    forward = bytes_per_s_of(connection, _give, median(trips_s)) if is_forward else None
    backward = bytes_per_s_of(connection, _take, median(trips_s)) if is_backward else None
    connection.send(control(Signal.END))
    return Figures(
        round_trips_s=trips_s, forward_bytes_per_s=forward, backward_bytes_per_s=backward
    )


def follow(connection: Connection) -> None:
    """Do what the leader asks, until it asks to stop.

    Raises
    ------
    PeerLost
        The other end is gone, or silent, or asks for something that no leader asks.
    """
    said = control()
    waiting = connection.expect(said)
    while True:
        connection.done(waiting)
        code, num_bytes = said.tolist()
        if code == Signal.END:
            return
        if code not in (Signal.PING, Signal.TAKE, Signal.GIVE) or not 0 <= num_bytes <= MOST_BYTES:
            message = "it sent something that no probe sends"
            raise PeerLost(message)
        said = control()
        if code == Signal.TAKE:
            taken = connection.expect(connection.bulk(num_bytes))
            connection.send(control())
            connection.done(taken)
        elif code == Signal.GIVE:
            x, go = connection.bulk(num_bytes), control()
            called = connection.expect(go)
            connection.send(control())
            connection.done(called)
            connection.send(x)
        waiting = connection.expect(said)
        if code != Signal.GIVE:
            connection.send(control())


def _round_trips_s(connection: Connection) -> tuple[float, ...]:
    times_s: list[float] = []
    begun_s = time.perf_counter()
    while len(times_s) < WARMUPS + MOST_TRIPS:
        if len(times_s) >= WARMUPS + FEWEST_TRIPS and time.perf_counter() - begun_s > TRIPS_S:
            break
        echo = connection.expect(control())
        sent_s = time.perf_counter()
        connection.send(control(Signal.PING))
        connection.done(echo)
        times_s.append(time.perf_counter() - sent_s)
    return tuple(times_s[WARMUPS:])


def bytes_per_s_of(
    connection: Connection, move: Callable[[Connection, int], float], trip_s: float
) -> float:
    """Double a message until it takes long enough, and return the best rate of a few of that size.

    One round trip of what is timed is the acknowledgement, not the message.
    """
    num_bytes = FIRST_BYTES
    best_s = move(connection, num_bytes)
    long_s = max(LONG_S, LONG_TRIPS * trip_s)
    while best_s < long_s and num_bytes < MOST_BYTES and connection.has_time(2 * best_s):
        num_bytes *= 2
        best_s = move(connection, num_bytes)
    for _ in range(REPEATS - 1):
        if connection.has_time(best_s):
            best_s = min(best_s, move(connection, num_bytes))
    return num_bytes / max(best_s - trip_s, best_s / 2)


def _give(connection: Connection, num_bytes: int) -> float:
    """Return the seconds until a message has arrived there and its receiver has said so."""
    x = connection.bulk(num_bytes)
    _announce(connection, Signal.TAKE, num_bytes)
    thanks = connection.expect(control())
    begun_s = time.perf_counter()
    connection.send(x)
    connection.done(thanks)
    return time.perf_counter() - begun_s


def _take(connection: Connection, num_bytes: int) -> float:
    """Return the seconds from asking the other end for a message until it has arrived here."""
    x = connection.bulk(num_bytes)
    _announce(connection, Signal.GIVE, num_bytes)
    taken = connection.expect(x)
    begun_s = time.perf_counter()
    connection.send(control())
    connection.done(taken)
    return time.perf_counter() - begun_s


def _announce(connection: Connection, signal: Signal, num_bytes: int) -> None:
    """Say what comes next, and wait until the other end is ready for it."""
    ready = connection.expect(control())
    connection.send(control(signal, num_bytes))
    connection.done(ready)
