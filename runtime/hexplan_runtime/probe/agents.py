"""The agents of a probe: one process on each host, of which any may be out of reach or fall silent.

An agent that is lost costs its own host's links only; the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from threading import Event
from types import TracebackType
from typing import Final, Self

from hexplan.errors import LaunchError
from hexplan.frozen_model import FrozenModel
from hexplan_runtime.probe.messages import AgentAnswer, AgentTask
from hexplan_runtime.processes import ChildProcess, Ended, Starter, Supervisor

_AGENT: Final = "hexplan_runtime.probe.agent"
_POLL_S = 0.1
"""How soon a stop is noticed; the event that asks for one wakes nobody who waits for an answer."""


class Agents:
    """The agents of one probe; leaving them ends their processes."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._supervisor = Supervisor(AgentAnswer)
        self._agents: dict[str, ChildProcess[AgentAnswer]] = {}
        self._lost: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._supervisor.stop()

    def start(self, host: str, starter: Starter, task: AgentTask) -> None:
        """Start the agent of a host."""
        try:
            self._agents[host] = self._supervisor.start(host, starter.command(_AGENT), task)
        except LaunchError as error:
            self._lost[host] = error.message

    def tell(self, host: str, message: FrozenModel) -> None:
        """Send an agent something."""
        if host not in self._lost:
            self._agents[host].tell(message)

    def answers(self, hosts: Collection[str], limit_s: float) -> dict[str, AgentAnswer]:
        """Wait for one answer from each of these agents; for a lost one, return why it is lost.

        Agents that do not answer in time are ended. A request to stop ends the wait at once, with
        the answers that are there.
        """
        found: dict[str, AgentAnswer] = {}
        deadline_s = time.monotonic() + limit_s
        while not self._stop.is_set():
            for host in self._lost.keys() & set(hosts) - found.keys():
                found[host] = AgentAnswer(problem=self._lost[host])
            silent = [host for host in hosts if host not in found]
            if not silent:
                break
            if time.monotonic() < deadline_s:
                self._take_next(found, min(deadline_s, time.monotonic() + _POLL_S))
            else:
                for host in silent:
                    self._give_up(host, f"its agent did not answer within {limit_s:g} s")
        return found

    def lost(self, host: str) -> str | None:
        """Return why the agent of a host is of no use, or None if it is."""
        return self._lost.get(host)

    def lose(self, host: str, why: str) -> None:
        """Give up on the agent of a host that has said why it is of no use."""
        self._lost[host] = why

    def _take_next(self, found: dict[str, AgentAnswer], deadline_s: float) -> None:
        """Take the next answer or end, if one comes before the deadline."""
        event = self._supervisor.next_event(deadline_s)
        if event is None:
            return
        host = event.child.name
        if isinstance(event, Ended):
            self._give_up(host, "its agent ended")
        else:
            event.child.forget_words()  # what it wrote before it answered did no harm
            found[host] = event.message

    def _give_up(self, host: str, why: str) -> None:
        if host in self._lost:
            return
        agent = self._agents[host]
        self._supervisor.stop([agent])
        words = agent.last_words.strip()
        self._lost[host] = f"{why}: {words.splitlines()[-1]}" if words else why
