"""The agents of a launch as its coordinator sees them: one for each host, heard and watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from threading import Event, Lock, Thread
from typing import Final

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan_runtime.agent.messages import (
    BEAT_S,
    HostGreeting,
    HostOrder,
    HostReport,
    HostSeen,
    TaskChange,
)
from hexplan_runtime.launch.agent_book import AgentBook, keep_beating
from hexplan_runtime.launch.explaining import explain_end, together
from hexplan_runtime.launch.places import HostPlace, Hosts
from hexplan_runtime.launch.remote_ranks import (
    HostAgent,
    HostLost,
    RemoteRank,
    order_of,
    task_of,
    words_of,
)
from hexplan_runtime.processes import Ended, Said, Stopped, Supervisor
from hexplan_runtime.stage.messages import Assignment, Report

AGENT: Final = "hexplan_runtime.agent.main"
RELEASE_S: Final = 6.0
"""How long an agent may take to end its ranks, and ssh to end after it."""
FIRST_WORD_S: Final = 90.0
"""How long an agent may take to say anything at all, while a launch runs: it reads libraries first,
on a host that may be busy. One that is stopped meanwhile is ended by its guard."""
_WORDS_S: Final = 2.0
"""How long agents may take to tell what ranks wrote."""
RankNews = Said[Report] | Ended[Report] | Stopped | HostLost


class Agents(AgentBook):
    """Starts agents, and hears of their hosts and ranks; leaving nothing behind at its end.

    Parameters
    ----------
    hear
        Takes what ranks say, how they end, and which host is lost, in any thread.
    """

    def __init__(self, hear: Callable[[RankNews], None]) -> None:
        super().__init__()
        self._hear = hear
        self._supervisor = Supervisor(HostReport, self._take)
        self._changed = Event()
        self._over = Event()
        self._is_up = False
        self._silent: set[str] = set()
        self._hosts: Hosts | None = None
        self._task: Assignment | None = None
        self._revival = Lock()
        """Held while an agent is started again: its host may have several stages."""

    def begin(self, places: Sequence[HostPlace], hosts: Hosts, assignment: Assignment) -> None:
        """Start an agent on each host, and hear that all is as it should be there.

        Raises
        ------
        LaunchError
            A host cannot be reached, or lacks something.
        InputError
            A host cannot run its part of the plan.
        """
        self._hosts, self._task = hosts, assignment
        for place in places:
            self._begin(place, assignment)
        beating = (self._all, self._lose, self._over)
        Thread(target=keep_beating, args=beating, daemon=True, name="beats").start()

    def wait(self, deadline_s: float) -> Sequence[tuple[HostPlace, HostSeen]]:
        """Wait until every host is checked, and return what is there.

        Raises
        ------
        HexplanError
            A host cannot run its part of the plan; the message names all that cannot.
        """
        while not self._is_settled():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                with self._lock:
                    silent = [a.place.name for a in self._agents.values() if a.seen is None]
                message = f"no answer in time from the agent on {', '.join(silent)}"
                raise LaunchError(message, hint="`hexplan doctor PLAN` looks for the cause")
            self._changed.wait(left_s)
            self._changed.clear()
        with self._lock:
            if self._problems:
                raise together(list(self._problems.values()))
            self._is_up = True
        return self.seen()

    def start_ranks(self, names: Mapping[tuple[int, int], str]) -> list[RemoteRank]:
        """Start all ranks, and return them in their order.

        Parameters
        ----------
        names
            The name of each rank, by its stage's index in the plan and its rank there, in order.
        """
        ranks: dict[str, RemoteRank] = {}
        for agent in self._agents.values():
            here = [name for (stage, _), name in names.items() if stage in agent.place.stages]
            agent.ranks = [RemoteRank(name, agent.child, n) for n, name in enumerate(here)]
            ranks |= dict(zip(here, agent.ranks, strict=True))
            agent.child.tell(HostOrder(start=True))
        return [ranks[name] for name in names.values()]

    def revive(self, stage: int, deadline_s: float) -> None:
        """Start the agent of a stage's host again if it is lost, and wait until it is checked.

        Raises
        ------
        HexplanError
            The host is of no use yet.
        """
        with self._revival:
            agent = self._agent_of(stage)
            name = agent.child.name
            if name not in self._problems:
                return
            self._supervisor.kill([agent.child])
            assert self._task is not None
            self._begin_checked(agent.place, self._task, deadline_s)

    def join(self, place: HostPlace, assignment: Assignment, deadline_s: float) -> None:
        """Start an agent on a host that the launch did not have, and wait until it is checked.

        Raises
        ------
        HexplanError
            The host is of no use.
        """
        with self._revival:
            self._begin_checked(place, self._common(assignment), deadline_s)

    def leave(self, names: Collection[str]) -> None:
        """End the agents of hosts that the launch needs no more, and forget them."""
        with self._lock:
            ended = [one.child for one in self._agents.values() if one.place.name in names]
            for child in ended:
                del self._agents[child.name]
                self._problems.pop(child.name, None)
        self._supervisor.stop(ended, RELEASE_S)
        self._supervisor.kill(ended)

    def start_again(self, names: Sequence[str], assignment: Assignment) -> list[RemoteRank]:
        """Start the ranks of one stage again.

        Raises
        ------
        HexplanError
            Their host has been lost once more.
        """
        agent, attempt = self._agent_of(assignment.stage), assignment.attempt
        first = agent.first_number(assignment.stage, assignment.plan)
        with self._lock:
            agent.ranks += [RemoteRank("", agent.child, -1)] * (first + len(names))
            for number, name in enumerate(names, first):
                agent.ranks[number] = RemoteRank(name, agent.child, number, attempt)
            ranks = agent.ranks[first : first + len(names)]
        agent.child.tell(order_of(assignment))
        if agent.child.name in self._problems:
            raise self._problems[agent.child.name]
        return ranks

    def take_plan(self, assignment: Assignment, added: Collection[int]) -> None:
        """Let agents know a plan with more stages, and which of them are theirs."""
        self._task = self._common(assignment)
        for agent in self._all():
            host = agent.place.name
            old = agent.place.stages
            more = (n for n in sorted(added) if assignment.plan.stages[n].host == host)
            agent.place = replace(agent.place, stages=(*old, *(n for n in more if n not in old)))
            if agent.child.name not in self._problems:
                change = TaskChange(stages=agent.place.stages, assignment=self._task)
                agent.child.tell(HostOrder(change=change))

    def end_stage(self, stage: int) -> None:
        """End the ranks of a stage by force; the end of a host that is lost ends them anyway."""
        agent = self._agent_of(stage)
        if agent.child.name not in self._problems:
            agent.child.tell(HostOrder(end_stage=stage))

    def words(self) -> list[tuple[str, str]]:
        """Return what agents and ranks wrote last, each with its name, as far as they tell it."""
        agents = self._all()
        with self._lock:
            self._silent = {rank.name for agent in agents for rank in agent.ranks}
        for agent in agents:
            agent.child.tell(HostOrder(words=True))
        deadline_s = time.monotonic() + _WORDS_S
        while self._silent and time.monotonic() < deadline_s:
            self._changed.wait(BEAT_S / 10)
            self._changed.clear()
        return words_of(agents)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the agents, or of the ssh that reaches them."""
        return tuple(child.pid for child in self._supervisor.children)

    def stop(self) -> None:
        """End all agents, which end their ranks."""
        self._over.set()
        self._supervisor.stop(release_s=RELEASE_S)

    def _begin(self, place: HostPlace, assignment: Assignment) -> HostAgent:
        """Start an agent, and tell it its task."""
        assert self._hosts is not None
        command = place.starter(self._hosts.reach).command(AGENT)
        greeting = HostGreeting(version=version("hexplan"))
        with self._lock:
            child = self._supervisor.start(f"host {place.name}", command, greeting)
            agent = self._agents[child.name] = HostAgent(place, child)
            self._problems.pop(child.name, None)  # not before: a host without an agent has one
        child.tell(task_of(place, self._hosts, assignment))
        return agent

    def _begin_checked(self, place: HostPlace, assignment: Assignment, deadline_s: float) -> None:
        """Start an agent while the launch runs, and wait until it is checked."""
        begun_s, agent = time.monotonic(), self._begin(place, assignment)
        name = agent.child.name
        while agent.seen is None and name not in self._problems:
            is_mute = agent.heard_s is None and time.monotonic() > begun_s + FIRST_WORD_S
            if is_mute or time.monotonic() > deadline_s:
                self._lose(agent, LaunchError(f"{name}: no answer in time from its agent"))
            time.sleep(BEAT_S / 10)
        if name in self._problems:
            raise self._problems[name]

    def _common(self, assignment: Assignment) -> Assignment:
        """Return what all hosts of the launch get of an assignment."""
        assert self._task is not None
        mine = {"model_folder": self._task.model_folder, "across": self._task.across}
        return assignment.model_copy(update=mine)

    def _is_settled(self) -> bool:
        with self._lock:
            settled = [a.seen or a.child.name in self._problems for a in self._agents.values()]
            return all(settled)

    def _take(self, event: Said[HostReport] | Ended[HostReport]) -> None:
        with self._lock:
            agent = self._agents.get(event.child.name)
            if agent is None or agent.child is not event.child:
                return  # of an agent that was lost, and has a successor, or of one that has left
            agent.heard_s, agent.silent_looks = time.monotonic(), 0
        if isinstance(event, Ended):
            self._lose(agent, explain_end(agent.place, event))
        elif event.message.event == "checked":
            agent.seen = event.message.seen
            self._changed.set()
        elif event.message.event == "refused":
            message = f"{agent.child.name}: {event.message.message}"
            self._lose(agent, InputError(message, hint=event.message.hint))
        elif event.message.event != "beat":
            self._hear_rank(agent, event.message)

    def _hear_rank(self, agent: HostAgent, report: HostReport) -> None:
        with self._lock:
            rank = agent.ranks[report.rank] if report.rank < len(agent.ranks) else None
        if rank is None or rank.attempt != report.attempt:
            return
        if report.event == "words":
            rank.keep_words(report.last_words)
            self._silent.discard(rank.name)
            self._changed.set()
        else:
            self._hear(rank.news(report))

    def _lose(self, agent: HostAgent, error: HexplanError) -> None:
        """Note why a host is of no use; whoever waits for it hears of it once."""
        with self._lock:
            is_new = agent.child.name not in self._problems
            self._problems.setdefault(agent.child.name, error)
            is_up = self._is_up
        self._changed.set()
        if is_new and is_up:
            self._hear(HostLost(agent.place.stages, error))
