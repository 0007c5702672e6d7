"""A running plan, on this machine or on its hosts: one process for each device of each stage."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from hexplan.errors import InputError
from hexplan.measured.observation_file import ObservationFile
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.schedule.queueing.params import Queueing
from hexplan_runtime.engine.changes import PlanChange
from hexplan_runtime.engine.core import MAX_WAITING, EngineCore
from hexplan_runtime.engine.queueing.choose import choose_engine
from hexplan_runtime.engine.snapshot import EdgeTokens
from hexplan_runtime.engine.streaming import gather
from hexplan_runtime.launch.collecting import Collector
from hexplan_runtime.launch.fleet import Fleet
from hexplan_runtime.launch.fleet_links import FleetLinks
from hexplan_runtime.launch.hosts import join_hosts, new_places
from hexplan_runtime.launch.mending.plan_mender import PlanMender
from hexplan_runtime.launch.mending.plan_news import PlanNews
from hexplan_runtime.launch.mending.rerouter import Rerouter
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.launch.stage_start import Restarts
from hexplan_runtime.launch.startup import RankStats, StartUp, rank_names, start
from hexplan_runtime.launch.supported import require_supported
from hexplan_runtime.model.model_files import find_model_folder
from hexplan_runtime.processes import OwnFolder
from hexplan_runtime.request import Request, TokenEvent
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.mailbox import drain
from hexplan_runtime.stage.messages import Assignment, EdgePlace
from hexplan_runtime.stage.observing import Observer
from hexplan_runtime.stage.rewiring import Rewiring

APPLY_HINT = "`hexplan stop` ends what runs, and `hexplan serve` starts this plan"
_JOIN_S = 5.0
"""How long a receiving thread may take to notice that its rank is gone."""


class Pipeline:
    """A running plan.

    Examples
    --------
    >>> with Pipeline(plan) as pipeline:  # doctest: +SKIP
    ...     for event in pipeline.generate([Request((1, 2, 3), max_tokens=8)]):
    ...         print(event.token_id)

    Parameters
    ----------
    model_folder
        Where the weights are; the folder that the plan names if None.
    start_timeout_s
        How long ranks may take to read their weights and to connect.
    observe
        Where to write how long each step and message takes; nothing is timed if None.
    max_waiting
        Requests that may wait for room before the core refuses more.
    hosts
        How the plan's hosts are reached; None runs all of them on this machine.
    restarts
        How stages that are lost are started again, while their requests start over on other
        routes; whatever dies ends the launch if None.
    queue
        Which requests run next where not all of them can; what the plan says if None.
    """

    def __init__(
        self,
        plan: Plan,
        model_folder: Path | None = None,
        *,
        start_timeout_s: float = 120.0,
        observe: ObservationFile | None = None,
        max_waiting: int = MAX_WAITING,
        hosts: Hosts | None = None,
        restarts: Restarts | None = None,
        queue: Queueing | None = None,
    ) -> None:
        require_supported(plan)
        self.plan = plan
        self.stats: tuple[RankStats, ...] = ()
        """What each rank read and holds, in the order of the plan."""
        self._folder = find_model_folder(plan, model_folder)
        self._hosts = hosts
        self._restarts = restarts
        self._start_timeout_s = start_timeout_s
        self._collector = Collector(observe) if observe is not None else None
        self._fleet = Fleet(self._collector.take if self._collector else None)
        self._observer: Observer | None = None
        self._drains: list[Thread] = []
        self._ends: Ends | None = None
        self._meeting_folder: OwnFolder | None = None
        self._rewiring: Rewiring | None = None
        self._links = FleetLinks(self._fleet)
        engine = choose_engine(plan, queue)
        self._fleet.traffic = engine.counts.host
        self.core = EngineCore(engine, self._links, max_waiting)
        """Takes requests from any thread, as a server does."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of this launch; it is safe to call this twice.

        Raises
        ------
        InputError
            The observations could not be written.
        """
        self.core.begin_to_close()
        self._fleet.stop()
        self.core.close(_JOIN_S)
        if self._ends is not None:
            self._ends.close()
            self._ends = None
        for thread in self._drains:
            thread.join(_JOIN_S)
        if self._observer is not None:
            self._observer.close()
        if self._meeting_folder is not None:
            self._meeting_folder.remove()
        if self._collector is not None:
            self._collector.finish()

    def check(self, requests: Sequence[Request]) -> None:
        """Refuse requests that this pipeline could never run; it need not be running yet.

        Raises
        ------
        InputError
            A prompt has a token that the model does not know, or a request is too long.
        """
        for index, request in enumerate(requests):
            self.core.check(request, f"request {index}")

    def generate(self, requests: Sequence[Request]) -> Iterator[TokenEvent]:
        """Yield the tokens of all requests as they come; those of one request come in order.

        Requests wait while no route has room for them. Several calls may run at once, in as many
        threads. A caller that drops the iterator ends its requests.

        Raises
        ------
        InputError
            A request is wrong, or too long for every route.
        LaunchError
            A rank failed.
        """
        self.core.require_running()
        self.check(requests)
        return gather(self.core.submit_all, requests)

    def edge_tokens(self) -> tuple[EdgeTokens, ...]:
        """Return how many tokens were sent over each edge, to compare with the plan's shares."""
        return self.core.snapshot().edges

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the ranks, in the order of the plan."""
        return self._fleet.pids

    @property
    def mender(self) -> PlanMender | None:
        """Who starts and ends stages; None if whatever dies ends the launch."""
        return self._fleet.mender

    def tell(self, news: PlanNews | PlanChange) -> None:
        """Pass on a step from one plan to another, from any thread."""
        self._fleet.tell(news)

    def rank_names(self, plan: Plan, stage: int) -> tuple[str, ...]:
        """Return what errors call the ranks of a stage."""
        return rank_names(plan, stage)

    def require_room_for(self, plan: Plan, added: frozenset[int]) -> None:
        """Refuse stages on hosts that are lost, or that this launch could never reach.

        Raises
        ------
        InputError
            A host has lost its agent, or has no address to start one at.
        """
        if self._hosts is None:
            return
        agents = self._fleet.agents
        lost = agents.hosts() - agents.live_hosts()
        for host in sorted({plan.stages[stage].host for stage in added} & lost):
            message = f"host {host}: it is lost, and no agent of this launch runs there"
            raise InputError(message, hint=APPLY_HINT)
        new_places(agents, self._hosts, plan, added)

    def is_lost(self, host: str) -> bool:
        """Say whether a host is lost as a whole; this machine never is."""
        return self._hosts is not None and host not in self._fleet.agents.live_hosts()

    def prepare_for(self, template: Assignment, added: frozenset[int]) -> None:
        """Let the agents know the stages that are to start on their hosts, also on new ones.

        Raises
        ------
        HexplanError
            A new host is of no use.
        """
        if self._hosts is not None:
            agents = self._fleet.agents
            join_hosts(agents, self._hosts_as_asked(), template, added, self._start_timeout_s)
            self._fleet.agents.take_plan(template, added)

    def between_machines(self, plan: Plan, edges: Sequence[EdgePlace]) -> frozenset[int]:
        """Return the numbers of those edges whose ends are on different machines."""
        if self._hosts is None:
            return frozenset()
        at = {stage.id: stage.host for stage in plan.stages}
        return frozenset(
            edge.number for edge in edges if at.get(edge.source) != at.get(edge.target)
        )

    def open_edges(self, rerouter: Rerouter) -> None:
        """Open this process's ends of new edges.

        Raises
        ------
        LaunchError
            Another machine cannot be reached.
        """
        assert self._rewiring is not None
        before = self._rewiring.receivers()
        order = rerouter.order
        self._rewiring.listen(order, self.core.snapshot().generations)
        self._rewiring.call(rerouter.directory)
        for receiver in self._rewiring.receivers():
            if receiver not in before:
                self._drains.append(drain(receiver, self._fleet.tell))

    def close_edges(self, edges: Collection[EdgePlace]) -> None:
        """Close this process's ends of all edges but these."""
        assert self._rewiring is not None
        self._rewiring.close_others(edges)

    def words(self) -> list[tuple[str, str]]:
        """Return what every process of this launch wrote last, each with its name."""
        return self._fleet.words()

    def _hosts_as_asked(self) -> Hosts:
        """Return how hosts are reached, and how many spare ranks wait there."""
        assert self._hosts is not None
        return replace(self._hosts, spares=(self._restarts or Restarts()).spares)

    def _start(self) -> None:
        is_observed = self._collector is not None
        self._meeting_folder = OwnFolder()
        how = StartUp(
            self._meeting_folder.path,
            self._start_timeout_s,
            is_observed,
            self._hosts_as_asked() if self._hosts is not None else None,
            heals=self._restarts is not None,
            step_limit_s=(self._restarts or Restarts()).step_limit_s,
        )
        started = start(self._fleet, self.plan, self._folder, how)
        self.stats, self._ends = started.stats, started.ends
        ends = self._ends
        if ends.opened is not None:
            self._rewiring = Rewiring(self.plan, started.meeting, ends.opened)
        if self._collector is not None:
            self._collector.begin()
            self._observer = Observer(self._collector.take)
            ends = self._observer.over_ends(ends, sends_from=ENTRY, receives_at=EXIT)
        if self._restarts is not None:
            self._fleet.mend(started.running, self._restarts)
        self._links.senders = ends.senders
        for receiver in ends.receivers.values():
            self._drains.append(drain(receiver, self._fleet.tell))
        self.core.start()
