"""Micro-batches: which decodes of a route travel together, and how many groups are under way.

The coordinator sees every token come back. It sends decodes into a route in micro-batches, at most
so many at a time, so that tokens that come back meanwhile join the next one. If each token went
back in at once, those of a single stage would alternate in two halves for ever: one half comes back
while the other runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hexplan.schedule.params import SCHEDULE_PARAMS

R = TypeVar("R", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Move:
    """A connection that decodes pass."""

    latency_s: float
    token_s: float
    """Time for which one token keeps it busy."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A stage that decodes pass."""

    step_s: Callable[[int], float]
    """Seconds of a step of so many decodes."""
    share: float = 1.0
    """Part of the stage's requests that are of this route, so the part of its time that is."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The way of decodes through the stages of a route and back to the coordinator."""

    visits: Sequence[Visit]
    moves: Sequence[Move]

    def alone_s(self, decodes: int) -> float:
        """Return the seconds of one round for a micro-batch that meets no other."""
        steps_s = sum([visit.step_s(decodes) for visit in self.visits])
        return steps_s + sum([move.latency_s + decodes * move.token_s for move in self.moves])

    def busiest_s(self, decodes: int) -> float:
        """Return the least seconds between two micro-batches at the slowest stage or connection.

        A stage that other routes share runs theirs in between.
        """
        steps_s = max([visit.step_s(decodes) / visit.share for visit in self.visits])
        return max([steps_s, *[decodes * move.token_s for move in self.moves]])

    def all_s(self, decodes: int, count: int) -> float:
        """Return the seconds in which the slowest passes decodes in so many micro-batches."""
        size, larger = divmod(decodes, count)
        all_s = (count - larger) * self.busiest_s(size)
        return all_s + larger * self.busiest_s(size + 1) if larger else all_s

    def round_s(self, decodes: int, count: int) -> float:
        """Return the seconds between two tokens of a request, of decodes in so many micro-batches.

        These are the asymptotic bounds of a closed network (Denning and Buzen, "The operational
        analysis of queueing network models", ACM Computing Surveys 10(3), 1978).
        """
        return max(self.alone_s(-(-decodes // count)), self.all_s(decodes, count))


def micro_batches(loop: Loop, decodes: int, largest: int) -> int:
    """Return into how many micro-batches to divide some decodes: the fewest of a shortest round.

    Equal stages with short hops get one each. A stage alone gets one, unless its tokens are away
    for longer than it runs.

    Parameters
    ----------
    largest
        Decodes of one micro-batch, at most.
    """

    def is_full(count: int) -> bool:
        return loop.all_s(decodes, count) >= loop.alone_s(-(-decodes // count))

    least = -(-decodes // largest)
    # More micro-batches are alone for a shorter time, and keep the busiest stage for longer.
    full = _first(least, decodes, is_full)
    best = min(
        range(max(least, full - 1), full + 1), key=lambda count: loop.round_s(decodes, count)
    )
    enough_s = loop.round_s(decodes, best) * (1 + SCHEDULE_PARAMS.near)
    return _first(least, best, lambda count: loop.round_s(decodes, count) <= enough_s)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the first number for which a condition holds, by bisection; `high` if none does."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def hold_s(last_step_s: float, away_s: float) -> float:
    """Return for how long a stage that is a whole route waits, at most, for its tokens to return.

    They are away for a short and known time. A stage that began with what waits would keep them for
    a whole step, and read its weights once more for few tokens. The wait ends as soon as they are
    back.

    Parameters
    ----------
    away_s
        Latency of the way to the coordinator and back.
    """
    most_s = SCHEDULE_PARAMS.hold * last_step_s
    return most_s if away_s <= most_s else 0.0


class RouteDecodes(Generic[R]):
    """The requests that decode on one route: those whose next token waits, and those under way.

    Parameters
    ----------
    largest
        Decodes of one micro-batch: those of a step.
    """

    def __init__(self, loop: Loop, largest: int) -> None:
        self._loop, self._largest = loop, largest
        self._waiting: deque[R] = deque()
        self._sent: dict[R, int] = {}
        """The micro-batch in which each request's token is under way."""
        self._left: dict[int, int] = {}
        """Tokens still under way of each micro-batch."""
        self._sent_batches = 0
        self._divided: dict[int, int] = {}

    def wait(self, request: R) -> None:
        """Take a request whose next token is to be sent."""
        self._waiting.append(request)

    def come_back(self, request: R) -> None:
        """Note that a request's token is back; the one that its prompt gave was never sent."""
        batch = self._sent.pop(request, None)
        if batch is None:
            return
        self._left[batch] -= 1
        if not self._left[batch]:
            del self._left[batch]

    def drop(self, request: R) -> None:
        """Forget a request, wherever its token is."""
        self.come_back(request)
        if request in self._waiting:
            self._waiting.remove(request)

    def take(self) -> list[list[R]]:
        """Return the micro-batches to send now."""
        taken: list[list[R]] = []
        while self._waiting:
            decodes = len(self._waiting) + len(self._sent)
            allowed = self._allowed(decodes)
            if len(self._left) >= allowed:
                break
            size = min(len(self._waiting), -(-decodes // allowed))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._sent_batches += 1
            self._left[self._sent_batches] = size
            self._sent.update(dict.fromkeys(batch, self._sent_batches))
            taken.append(batch)
        return taken

    def _allowed(self, decodes: int) -> int:
        if decodes not in self._divided:
            self._divided[decodes] = micro_batches(self._loop, decodes, self._largest)
        return self._divided[decodes]
