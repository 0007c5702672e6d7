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
    SILENCE_S,
    HostGreeting,
    HostOrder,
    HostReport,
    HostSeen,
    HostTask,
    StageOrder,
    TaskChange,
)
from hexplan_runtime.launch.explaining import explain_end, together
from hexplan_runtime.launch.places import HostPlace, Hosts
from hexplan_runtime.launch.remote_ranks import HostAgent, HostLost, RemoteRank
from hexplan_runtime.processes import Child, Ended, Said, Stopped, Supervisor
from hexplan_runtime.stage.messages import Assignment, Report

AGENT: Final = "hexplan_runtime.agent.main"
RELEASE_S: Final = 6.0
"""How long an agent may take to end its ranks, and ssh to end after it."""
_WORDS_S: Final = 2.0
"""How long agents may take to tell what ranks wrote."""
RankNews = Said[Report] | Ended[Report] | Stopped | HostLost


class Agents:
    """Starts agents, and hears of their hosts and ranks; leaving nothing behind at its end.

    Parameters
    ----------
    hear
        Takes what ranks say, how they end, and which host is lost, in any thread.
    """

    def __init__(self, hear: Callable[[RankNews], None]) -> None:
        self._hear = hear
        self._supervisor = Supervisor(HostReport, self._take)
        self._agents: dict[str, HostAgent] = {}
        self._problems: dict[str, HexplanError] = {}
        self._changed = Event()
        self._lock = Lock()
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
            self._begin(place)
        Thread(target=self._watch, daemon=True, name="beats").start()

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
            return [(a.place, a.seen) for a in self._agents.values() if a.seen is not None]

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
            with self._lock:
                del self._problems[name]
            agent = self._begin(agent.place)
            while agent.seen is None and name not in self._problems:
                if time.monotonic() > deadline_s:
                    message = f"{name}: no answer in time from its agent"
                    self._lose(agent, LaunchError(message))
                time.sleep(BEAT_S / 10)
            if name in self._problems:
                raise self._problems[name]

    def start_again(self, names: Sequence[str], assignment: Assignment) -> list[RemoteRank]:
        """Start the ranks of one stage again."""
        agent, attempt = self._agent_of(assignment.stage), assignment.attempt
        first = agent.first_number(assignment.stage, assignment.plan)
        with self._lock:
            agent.ranks += [RemoteRank("", agent.child, -1)] * (first + len(names))
            for number, name in enumerate(names, first):
                agent.ranks[number] = RemoteRank(name, agent.child, number, attempt)
            ranks = agent.ranks[first : first + len(names)]
        order = StageOrder(
            stage=assignment.stage,
            attempt=attempt,
            generations=assignment.generations,
            directory=assignment.directory,
        )
        agent.child.tell(HostOrder(start_stage=order))
        return ranks

    def live_hosts(self) -> set[str]:
        """Return the hosts whose agents run."""
        with self._lock:
            agents = self._agents.values()
            return {a.place.name for a in agents if a.child.name not in self._problems}

    def take_plan(self, assignment: Assignment, added: Collection[int]) -> None:
        """Let agents know a plan with more stages, and which of them are theirs."""
        assert self._task is not None
        folder = {"model_folder": self._task.model_folder, "across": self._task.across}
        self._task = assignment.model_copy(update=folder)
        with self._lock:
            agents = list(self._agents.values())
        for agent in agents:
            host = agent.place.name
            mine = tuple(n for n in sorted(added) if assignment.plan.stages[n].host == host)
            agent.place = replace(agent.place, stages=agent.place.stages + mine)
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
        with self._lock:
            agents = list(self._agents.values())
            self._silent = {rank.name for agent in agents for rank in agent.ranks}
        for agent in agents:
            agent.child.tell(HostOrder(words=True))
        deadline_s = time.monotonic() + _WORDS_S
        while self._silent and time.monotonic() < deadline_s:
            self._changed.wait(BEAT_S / 10)
            self._changed.clear()
        speakers: list[Child] = []
        for agent in agents:
            speakers += [agent.child, *agent.ranks]
        return [(child.name, child.last_words) for child in speakers if child.name]

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the agents, or of the ssh that reaches them."""
        return tuple(child.pid for child in self._supervisor.children)

    def stop(self) -> None:
        """End all agents, which end their ranks."""
        self._over.set()
        self._supervisor.stop(release_s=RELEASE_S)

    def _begin(self, place: HostPlace) -> HostAgent:
        """Start an agent, and tell it its task."""
        assert self._hosts is not None
        assert self._task is not None
        command = place.starter(self._hosts.reach).command(AGENT)
        greeting = HostGreeting(version=version("hexplan"))
        with self._lock:
            child = self._supervisor.start(f"host {place.name}", command, greeting)
            agent = self._agents[child.name] = HostAgent(place, child)
        child.tell(
            HostTask(
                host=place.name,
                address=place.address,
                may_be_public=self._hosts.reach.may_be_public,
                stages=place.stages,
                listens=place.listens,
                assignment=self._task,
                spares=self._hosts.spares,
            )
        )
        return agent

    def _agent_of(self, stage: int) -> HostAgent:
        with self._lock:
            return next(a for a in self._agents.values() if stage in a.place.stages)

    def _is_settled(self) -> bool:
        with self._lock:
            settled = [a.seen or a.child.name in self._problems for a in self._agents.values()]
            return all(settled)

    def _take(self, event: Said[HostReport] | Ended[HostReport]) -> None:
        with self._lock:
            agent = self._agents[event.child.name]
            if agent.child is not event.child:
                return  # of an agent that was lost, and has a successor
            agent.heard_s = time.monotonic()
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
        if report.event == "said" and report.said is not None:
            self._hear(Said(rank, report.said))
        elif report.event == "stopped":
            self._hear(Stopped(rank))
        elif report.event == "words":
            rank.keep_words(report.last_words)
            self._silent.discard(rank.name)
            self._changed.set()
        else:
            rank.keep_words(report.last_words)
            self._hear(Ended(rank, report.exit_code))

    def _lose(self, agent: HostAgent, error: HexplanError) -> None:
        """Note why a host is of no use; whoever waits for it hears of it once."""
        with self._lock:
            is_new = agent.child.name not in self._problems
            self._problems.setdefault(agent.child.name, error)
            is_up = self._is_up
        self._changed.set()
        if is_new and is_up:
            self._hear(HostLost(agent.place.stages, error))

    def _watch(self) -> None:
        """Tell agents that the coordinator lives, and notice those that say nothing."""
        while not self._over.wait(BEAT_S):
            now_s = time.monotonic()
            with self._lock:
                agents = list(self._agents.values())
            for agent in agents:
                agent.child.tell(HostOrder())
                if agent.heard_s is not None and now_s - agent.heard_s > SILENCE_S:
                    message = f"{agent.child.name}: no word from its agent for {SILENCE_S:g} s"
                    hint = "the host or its agent stands still, or its network is cut off"
                    self._lose(agent, LaunchError(message, hint=hint))
