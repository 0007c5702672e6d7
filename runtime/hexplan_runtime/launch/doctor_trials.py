"""Try edges side by side, as far as they share neither a host nor a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from hexplan.cluster import COORDINATOR
from hexplan.plan import Plan
from hexplan_runtime.agent.doctor_messages import Call, Trial
from hexplan_runtime.net.keys import LaunchKeys
from hexplan_runtime.net.trials import try_call

EDGE_S: Final = 2.0
"""How long one edge may take to try."""
_GRACE_S: Final = 1.0
"""How long an agent may then take to tell of it."""
_LOOK_S: Final = 0.05


class Caller(Protocol):
    """A host that can call others."""

    trials: list[Trial]

    @property
    def is_able(self) -> bool:
        """Whether its agent is there, and not busy with an old call."""

    def call(self, order: Call) -> None:
        """Let it call a listener; how that went comes into `trials`."""

    def give_up(self) -> None:
        """Note that it did not tell in time how a call went."""


@dataclass(slots=True)
class Attempt:
    """An edge that is to be tried, or was."""

    caller: str
    listener: str
    address: str
    shares: frozenset[str]
    """Its hosts, and the line that it shares with others."""
    deadline_s: float = 0.0
    before: int = 0
    """Trials that its caller had told of when it began."""
    own: Future[Trial] | None = None
    """The coordinator's own call."""
    trial: Trial | None = None
    """How it went; None if nobody knows."""


def attempt(plan: Plan, caller: str, listener: str, address: str) -> Attempt:
    """Return an edge to try, from the end that calls to the one that listens."""
    shares = {caller, listener}
    rule = plan.cluster.rule(caller, listener)
    over = None if rule is None else plan.cluster.over(rule)
    if over is not None and over.trunk_bytes_per_s is not None:
        shares.add(f"{over.source}>{over.target}")
    return Attempt(caller, listener, address, frozenset(shares))


class EdgeTrials:
    """Tries edges until a deadline.

    Parameters
    ----------
    take
        Takes what agents say until a moment of the monotonic clock, or less.
    """

    def __init__(
        self,
        callers: dict[str, Caller],
        keys: LaunchKeys,
        take: Callable[[float], object],
        deadline_s: float,
    ) -> None:
        self._callers = callers
        self._keys = keys
        self._take = take
        self._deadline_s = deadline_s

    def run(self, attempts: Sequence[Attempt]) -> None:
        """Try all edges for which there is time, and note how each went."""
        waiting, running = list(attempts), list[Attempt]()
        with ThreadPoolExecutor(max_workers=1) as thread:
            while waiting or running:
                limit_s = min(EDGE_S, self._deadline_s - time.monotonic())
                if limit_s <= 0:
                    waiting.clear()
                for one in [*waiting]:
                    if any(one.shares & other.shares for other in running):
                        continue
                    waiting.remove(one)
                    if self._begin(one, limit_s, thread):
                        running.append(one)
                self._take(time.monotonic() + _LOOK_S)
                running = [one for one in running if not self._is_over(one)]

    def _begin(self, one: Attempt, limit_s: float, thread: ThreadPoolExecutor) -> bool:
        one.deadline_s = time.monotonic() + limit_s + _GRACE_S
        if one.caller == COORDINATOR:
            one.own = thread.submit(self._call, one.address, limit_s)
            return True
        caller = self._callers[one.caller]
        if not caller.is_able:
            return False
        one.before = len(caller.trials)
        caller.call(Call(address=one.address, limit_s=limit_s))
        return True

    def _call(self, address: str, limit_s: float) -> Trial:
        latency_s, bytes_per_s = try_call(address, self._keys, limit_s)
        return Trial(latency_s=latency_s, bytes_per_s=bytes_per_s)

    def _is_over(self, one: Attempt) -> bool:
        if one.own is not None:
            one.trial = one.own.result() if one.own.done() else None
            return one.own.done()
        caller = self._callers[one.caller]
        if len(caller.trials) > one.before:
            one.trial = caller.trials[-1]
            return True
        if time.monotonic() > one.deadline_s:
            caller.give_up()
        return not caller.is_able
