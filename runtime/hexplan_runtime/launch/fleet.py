"""The fleet: all ranks of a launch, and the news from them and from the launcher's own edges."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.measured.observations import StepSeen
from hexplan_runtime.agent.ranks import RANK, VARIABLES
from hexplan_runtime.batch import Batch
from hexplan_runtime.engine.changes import Change
from hexplan_runtime.launch.agents import Agents
from hexplan_runtime.launch.mending.mender import (
    READABLE,
    Readable,
    Running,
)
from hexplan_runtime.launch.mending.plan_mender import PlanMender
from hexplan_runtime.launch.remote_ranks import HostLost
from hexplan_runtime.launch.stage_crew import HostCrews, LocalCrews
from hexplan_runtime.launch.stage_start import Restarts
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.processes import Child, Ended, Here, Said, Stopped, StopWatch, Supervisor
from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic
from hexplan_runtime.stage.mailbox import Loss
from hexplan_runtime.stage.messages import PEER_LOST, Assignment, EdgeLost, EndSeen, Report

_CULPRIT_S: Final = 2.0
"""How long to look for the rank that failed first, when others have only lost it as their peer."""
RankProcess: TypeAlias = Child
RankSaid: TypeAlias = Said[Report]
RankEnded: TypeAlias = Ended[Report]
News: TypeAlias = RankSaid | RankEnded | Stopped | Batch | Loss | Readable | Change | None
"""None only ends the wait for news."""


class Fleet:
    """Starts ranks, and gathers all news of a launch in one place, as any of it may end the wait.

    Parameters
    ----------
    hear
        Takes what leaders saw, at once and in the thread that listens to them.
    """

    def __init__(self, hear: Callable[[Sequence[StepSeen | EndSeen]], None] | None = None) -> None:
        self._hear = hear
        self._supervisor = Supervisor(Report, self.tell)
        self._news: SimpleQueue[News] = SimpleQueue()
        self._failure: HexplanError | None = None
        self.traffic: dict[str, HostTraffic] = {}
        """What leaders have last told of host memory, by their stages."""
        self.mender: PlanMender | None = None
        """Who has lost stages started again; without one, whatever dies ends the launch."""
        self._watch: StopWatch | None = None
        self.agents = Agents(self.tell)
        """The agents on other hosts, if the plan has any."""

    def start(self, name: str, assignment: Assignment) -> RankProcess:
        """Start a rank on this machine."""
        return self._supervisor.start(name, Here(VARIABLES).command(RANK), assignment)

    def mend(self, running: Running, how: Restarts) -> None:
        """Have stages started again that are lost from now on."""
        crews: LocalCrews | HostCrews = HostCrews(self.agents, how.timeout_s)
        if running.template.across is None:
            crews = LocalCrews(self._supervisor, Here(VARIABLES).command(RANK), how.spares)
        self._watch = StopWatch(lambda: self._supervisor.children, self.tell)
        self.mender = PlanMender(running, crews, how, self.tell)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the ranks, or of what reaches other hosts."""
        return tuple(child.pid for child in self._supervisor.children) + self.agents.pids

    def words(self) -> list[tuple[str, str]]:
        """Return what every process wrote last, each with its name."""
        here = [(child.name, child.last_words) for child in self._supervisor.children]
        return here + self.agents.words()

    def tell(self, news: News) -> None:
        """Take news from any thread."""
        said = news.message if isinstance(news, Said) else None
        if self._hear is not None and said is not None and said.event == "seen":
            self._hear(said.seen)
        elif said is not None and said.traffic is not None:
            self.traffic[said.traffic.stage] = said.traffic
        else:
            self._news.put(news)

    def next_news(self, deadline: float | None = None) -> RankSaid | Batch | Change | None:
        """Wait for good news; None if the deadline (monotonic clock) passes first, or if told so.

        Raises
        ------
        LaunchError
            A process ended, or an edge was lost.
        InputError
            A rank refused the plan or the model.

        After a failure, every further call raises the same error.
        """
        if self._failure is not None:
            raise self._failure
        news = self._wait(deadline)
        if self.mender is not None and isinstance(news, READABLE):
            return self.mender.read(news)
        self._failure = self._failure_in(news)
        if self._failure is not None:
            raise self._failure
        assert news is None or isinstance(news, Said | Batch | Change)
        return news

    def _failure_in(self, news: News) -> HexplanError | None:
        """Return what ends the launch, if these news are of its kind."""
        if isinstance(news, HostLost):
            return news.error
        if isinstance(news, Ended):
            return self._explain(news)
        if isinstance(news, Stopped):
            return news.failure
        if isinstance(news, EdgeLost):
            return self._explain_loss(PeerLost(news.message))
        if isinstance(news, PeerLost | HexplanError):
            return self._explain_loss(news)
        if isinstance(news, Said) and news.message.event == "lost":
            loss = _loss_of(news)
            return self._find_culprit(loss) or loss
        if isinstance(news, Said) and news.message.event == "refused":
            message = f"{news.child.name}: {news.message.message}"
            kind = InputError if news.message.is_users else LaunchError
            return kind(message, hint=news.message.hint)
        return None

    def stop(self) -> None:
        """End every rank and every agent, and reap them."""
        if self.mender is not None:
            self.mender.stop()
        if self._watch is not None:
            self._watch.end()
        self.agents.stop()
        self._supervisor.stop()

    def _wait(self, deadline: float | None) -> News | None:
        timeout_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return self._news.get(timeout=timeout_s)
        except Empty:
            return None

    def _explain(self, first: RankEnded) -> HexplanError:
        """Say which rank failed: not one that only lost its peer, if another ends soon."""
        culprit = self._find_culprit() if first.exit_code == PEER_LOST else None
        return culprit or first.failure

    def _explain_loss(self, loss: Loss) -> HexplanError:
        return self._find_culprit() or LaunchError(f"an edge was lost: {loss}")

    def _find_culprit(self, told: HexplanError | None = None) -> HexplanError | None:
        """Wait a little for what explains the loss of a peer: a rank that ended, or a host.

        If there is neither, the first edge counts that a rank has told of as lost: a rank ends on
        that, and so others lose their edges to it.
        """
        deadline = time.monotonic() + _CULPRIT_S
        while time.monotonic() < deadline:
            news = self._wait(deadline)
            if isinstance(news, Ended) and news.exit_code != PEER_LOST:
                return news.failure
            if isinstance(news, Stopped):
                return news.failure
            if isinstance(news, HostLost):
                return news.error
            if isinstance(news, Said) and news.message.event == "lost":
                told = told or _loss_of(news)
        return told


def _loss_of(said: RankSaid) -> LaunchError:
    hint = "look at the network between these hosts: `hexplan doctor PLAN` tries each edge"
    lost = said.message.lost
    message = f"{said.child.name}: {lost.message if lost else 'an edge is lost'}"
    return LaunchError(message, hint=hint)
