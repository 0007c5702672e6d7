"""The start of a stage that was lost: tried until its ranks are up, or nobody tries more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final, TypeAlias

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.plan import Plan
from hexplan_runtime.launch.remote_ranks import HostLost
from hexplan_runtime.processes import Child, Ended, Said, Stopped
from hexplan_runtime.stage.messages import PEER_LOST, Report

RankNews: TypeAlias = Said[Report] | Ended[Report] | Stopped
_CULPRIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 30.0
_LOOK_S: Final = 0.5
"""How often to look whether the launch ends."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How stages that are lost are started again."""

    most: int = 7
    """Starts of one stage in a row that may fail, or end soon after, before nobody tries more."""
    timeout_s: float = 120.0
    """How long a start may take."""
    steady_s: float = 10.0
    """A stage that is lost after it ran for so long was well started."""
    step_limit_s: float = 300.0
    """How long a step of a stage may take before its leader counts as hanging."""
    spares: int = 0
    """Ranks that wait on each machine with their libraries read, so that a start takes less."""
    log: Callable[[str], None] = lambda line: None
    """Takes a line about each loss and start, in any thread."""

    def delay_s(self, failures: int) -> float:
        """Return how long to wait before a start after so many in a row that failed."""
        return 0.0 if not failures else min(_LONGEST_WAIT_S, 2.0 ** (failures - 1))


@dataclass(slots=True)
class StageStart:
    """The start of one stage, in a thread of its own.

    Parameters
    ----------
    start
        Starts its ranks, leader first.
    end
        Ends ranks by force.
    """

    stage: int
    name: str
    how: Restarts
    start: Callable[[StageStart], Sequence[Child]]
    end: Callable[[int, Sequence[Child]], None]
    old: Sequence[Child]
    """The ranks that ran before."""
    failures: int = 0
    """Starts in a row that have failed so far."""
    is_again: bool = True
    """Whether it has run before."""
    news: SimpleQueue[RankNews | HostLost] = field(default_factory=SimpleQueue)
    ranks: Sequence[Child] = ()
    """Those that are up, once `run` has returned none else."""
    plan: Plan | None = None
    """The plan that those got."""
    why: HexplanError | None = None
    """What it was lost for."""
    over: Event = field(default_factory=Event)
    """Set once the launch ends."""

    def run(self) -> HexplanError | None:
        """Start the stage, and return None once it is up, or why nobody tries any more."""
        self._end(self.old)
        if self.why is not None and self.failures >= self.how.most:
            return self.why
        while True:
            if self.over.wait(self.how.delay_s(self.failures)):
                return LaunchError("the launch has ended")
            again = " again" if self.is_again else ""
            self.how.log(f"{self.name} starts{again} ({self.failures + 1} of {self.how.most})")
            failure = _failure_of(self._start)
            if failure is None or self.over.is_set():
                return failure
            self._end(self.ranks)
            self.failures += 1
            self.how.log(f"{self.name} did not start: {failure.message}")
            if self.failures >= self.how.most:
                return failure

    def _start(self) -> None:
        self.ranks = self.start(self)
        self._await_all()

    def _end(self, ranks: Sequence[Child]) -> None:
        """End ranks by force; what keeps them from their end does not keep others from starting."""
        failure = _failure_of(lambda: self.end(self.stage, ranks))
        if failure is not None:
            self.how.log(f"{self.name}: ranks that ran before were not ended: {failure.message}")

    def _await_all(self) -> None:
        """Wait until all ranks are up."""
        deadline_s = time.monotonic() + self.how.timeout_s
        ready: set[Child] = set()
        while len(ready) < len(self.ranks):
            news = self._next(deadline_s)
            if news is None:
                message = f"{self.name} was not up after {self.how.timeout_s:g} s"
                raise LaunchError(message)
            if isinstance(news, HostLost):
                raise news.error
            if news.child not in self.ranks:
                continue
            if isinstance(news, Said) and news.message.event == "ready":
                ready.add(news.child)
            elif not isinstance(news, Said) or news.message.event == "refused":
                raise self._failure(news)

    def _failure(self, news: RankNews) -> HexplanError:
        """Return why a rank failed: not that it lost its peer, if that ends soon as well."""
        if isinstance(news, Said):
            kind = InputError if news.message.is_users else LaunchError
            message = f"{news.child.name}: {news.message.message}"
            return kind(message, hint=news.message.hint)
        if isinstance(news, Ended) and news.exit_code == PEER_LOST:
            deadline_s = time.monotonic() + _CULPRIT_S
            while (other := self._next(deadline_s)) is not None:
                if isinstance(other, Ended) and other.exit_code != PEER_LOST:
                    return other.failure
        return news.failure

    def _next(self, deadline_s: float) -> RankNews | HostLost | None:
        """Wait for news; None if the deadline passes first, or the launch ends."""
        while (left_s := deadline_s - time.monotonic()) > 0 and not self.over.is_set():
            with suppress(Empty):
                return self.news.get(timeout=min(left_s, _LOOK_S))
        return None


def _failure_of(act: Callable[[], None]) -> HexplanError | None:
    """Do something, and return why it failed, if it did."""
    try:
        act()
    except HexplanError as error:
        return error
    except Exception as error:  # such as no room for a thread: it must not leave the stage down
        return LaunchError(f"{type(error).__name__}: {error}")
    return None
