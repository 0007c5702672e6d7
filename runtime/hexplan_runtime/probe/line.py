"""The line between two hosts: rank 0 of a group of two leads and takes the times, rank 1 follows.

Every timed stretch begins when the other end waits for the message, as a receiving rank of a launch
does. The leader announces a large message first, so that both ends have their memory in place.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import torch
from torch import Tensor
from torch._C._distributed_c10d import Work

from hexplan_runtime.net.gloo import Group, PeerLost, finish
from hexplan_runtime.probe.messages import Figures

PING, TAKE, GIVE, END = range(4)
"""What the leader may say: answer; take so many bytes; give so many; it is over."""
WARMUPS, MOST_TRIPS, FEWEST_TRIPS = 3, 50, 5
TRIPS_S: Final = 1.0
"""After this, few round trips are enough."""
FIRST_BYTES: Final = 2**16
MOST_BYTES: Final = 2**27
LONG_S: Final = 0.1
"""A message that takes so long is large enough..."""
LONG_TRIPS: Final = 8
"""...if it takes so many round trips, too."""
REPEATS: Final = 3
_LEAST_WAIT_S = 1e-3


@dataclass(slots=True)
class Line:
    """One end of a line, until its deadline by the monotonic clock."""

    group: Group
    peer: int
    """Rank of the other end."""
    deadline_s: float
    _bulk: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.uint8))

    def has_time(self, seconds: float) -> bool:
        """Say whether something that takes so long still fits."""
        return time.monotonic() + seconds < self.deadline_s

    def expect(self, x: Tensor) -> Work:
        """Wait for a message from now on, in the background."""
        return self.group.start_receive(x, self.peer)

    def done(self, work: Work) -> None:
        """Wait for something that was started; at the deadline the peer counts as lost."""
        left_s = max(self.deadline_s - time.monotonic(), _LEAST_WAIT_S)
        finish(work, datetime.timedelta(seconds=left_s))

    def send(self, x: Tensor) -> None:
        """Send, and wait until it is on its way."""
        self.done(self.group.start_send(x, self.peer))

    def bulk(self, num_bytes: int) -> Tensor:
        """Return memory for a large message, whose pages are all there."""
        if self._bulk.numel() != num_bytes:
            self._bulk = torch.ones(num_bytes, dtype=torch.uint8)
        return self._bulk


def word(code: int = END, num_bytes: int = 0) -> Tensor:
    """Return what the leader says, or room for it."""
    return torch.tensor([code, num_bytes], dtype=torch.int64)


def lead(line: Line, *, is_forward: bool, is_backward: bool) -> Figures:
    """Measure a line, and let the follower go.

    Raises
    ------
    PeerLost
        The other end is gone, or silent.
    """
    trips_s = _round_trips_s(line)
    forward = bytes_per_s_of(line, _give, median(trips_s)) if is_forward else None
    backward = bytes_per_s_of(line, _take, median(trips_s)) if is_backward else None
    line.send(word(END))
    return Figures(
        round_trips_s=trips_s, forward_bytes_per_s=forward, backward_bytes_per_s=backward
    )


def follow(line: Line) -> None:
    """Do as the leader says, until it says that it is over.

    Raises
    ------
    PeerLost
        The other end is gone, or silent, or says what no leader would.
    """
    said = word()
    waiting = line.expect(said)
    while True:
        line.done(waiting)
        code, num_bytes = said.tolist()
        if code == END:
            return
        if code not in (PING, TAKE, GIVE) or not 0 <= num_bytes <= MOST_BYTES:
            message = "it sent what no probe sends"
            raise PeerLost(message)
        said = word()
        if code == TAKE:
            taken = line.expect(line.bulk(num_bytes))
            line.send(word())
            line.done(taken)
        elif code == GIVE:
            x, go = line.bulk(num_bytes), word()
            called = line.expect(go)
            line.send(word())
            line.done(called)
            line.send(x)
        waiting = line.expect(said)
        if code != GIVE:
            line.send(word())


def _round_trips_s(line: Line) -> tuple[float, ...]:
    times_s: list[float] = []
    begun_s = time.perf_counter()
    while len(times_s) < WARMUPS + MOST_TRIPS:
        if len(times_s) >= WARMUPS + FEWEST_TRIPS and time.perf_counter() - begun_s > TRIPS_S:
            break
        echo = line.expect(word())
        sent_s = time.perf_counter()
        line.send(word(PING))
        line.done(echo)
        times_s.append(time.perf_counter() - sent_s)
    return tuple(times_s[WARMUPS:])


def bytes_per_s_of(line: Line, move: Callable[[Line, int], float], trip_s: float) -> float:
    """Double a message until it takes long enough, and return the best rate of a few like it.

    One round trip of what is timed is not the message.
    """
    num_bytes = FIRST_BYTES
    best_s = move(line, num_bytes)
    long_s = max(LONG_S, LONG_TRIPS * trip_s)
    while best_s < long_s and num_bytes < MOST_BYTES and line.has_time(2 * best_s):
        num_bytes *= 2
        best_s = move(line, num_bytes)
    for _ in range(REPEATS - 1):
        if line.has_time(best_s):
            best_s = min(best_s, move(line, num_bytes))
    return num_bytes / max(best_s - trip_s, best_s / 2)


def _give(line: Line, num_bytes: int) -> float:
    """Return how long it takes until a message is there and its receiver has said so."""
    x = line.bulk(num_bytes)
    _announce(line, TAKE, num_bytes)
    thanks = line.expect(word())
    begun_s = time.perf_counter()
    line.send(x)
    line.done(thanks)
    return time.perf_counter() - begun_s


def _take(line: Line, num_bytes: int) -> float:
    """Return how long it takes until a message is here that the other end was called to send."""
    x = line.bulk(num_bytes)
    _announce(line, GIVE, num_bytes)
    taken = line.expect(x)
    begun_s = time.perf_counter()
    line.send(word())
    line.done(taken)
    return time.perf_counter() - begun_s


def _announce(line: Line, code: int, num_bytes: int) -> None:
    """Say what comes, and wait until the other end is ready for it."""
    ready = line.expect(word())
    line.send(word(code, num_bytes))
    line.done(ready)
