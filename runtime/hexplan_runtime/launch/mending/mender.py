"""The mender: it says which stages are lost and which are back, and has them started again.

The engine's thread asks it about all news of a launch, and tells it what others must let go of.
Each start runs in a thread of its own, whose end is news, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Event, Lock, Thread, Timer
from typing import Final, TypeAlias

from hexplan.errors import HexplanError, LaunchError
from hexplan.plan import ENTRY, Plan
from hexplan_runtime.batch import Row
from hexplan_runtime.engine.changes import (
    Change,
    Renewal,
    Renewed,
    StageBack,
    StageGone,
    StagesLost,
)
from hexplan_runtime.launch.mending.memory_sum import with_sum
from hexplan_runtime.launch.mending.plan_news import PLAN_NEWS, PlanNews
from hexplan_runtime.launch.mending.rerouter import Rerouter
from hexplan_runtime.launch.remote_ranks import HostLost
from hexplan_runtime.launch.stage_crew import Crews
from hexplan_runtime.launch.stage_start import RankNews, Restarts, StageStart
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.transport import Sends
from hexplan_runtime.processes import Child, Ended, Said, Stopped
from hexplan_runtime.stage import messages
from hexplan_runtime.stage.messages import Assignment, EdgeLost, RankOrder
from hexplan_runtime.stage.topology import edge_epochs

_FAILED: Final = 1
"""Exit code of a rank that failed or hung, which has written where."""
_GRACE_S: Final = 1.0
"""How long an edge may be lost before the stage that called it counts as lost: when a process or a
host dies, its edges are lost first."""


@dataclass(frozen=True, slots=True)
class StartOver:
    """A start of a stage is over: it is up, or nobody tries any more."""

    start: StageStart
    failure: HexplanError | None


@dataclass(frozen=True, slots=True)
class StillLost:
    """An edge was lost a while ago."""

    lost: EdgeLost


Mending: TypeAlias = StartOver | StillLost
"""News that only a mender makes, and reads."""
Readable: TypeAlias = RankNews | HostLost | EdgeLost | Mending | PlanNews
READABLE: Final = (Said, Ended, Stopped, HostLost, EdgeLost, StartOver, StillLost, *PLAN_NEWS)


@dataclass(frozen=True, slots=True)
class Running:
    """A launch that is up."""

    plan: Plan
    template: Assignment
    """What all ranks got, but for their place."""
    names: Mapping[int, Sequence[str]]
    """The ranks of each stage, by its index."""
    ranks: Mapping[int, Sequence[Child]]
    senders: Mapping[str, Sends]
    """The entry edges."""


class Mender:
    """Follows the stages of a launch.

    Parameters
    ----------
    tell
        Takes news for `read`, from any thread.
    """

    def __init__(
        self,
        running: Running,
        crews: Crews,
        how: Restarts,
        tell: Callable[[Mending | Change], None],
    ) -> None:
        self._running, self._crews, self._how, self._tell = running, crews, how, tell
        self._ranks = {stage: tuple(ranks) for stage, ranks in running.ranks.items()}
        """Of the stages that run."""
        self._stage_of = {rank: s for s, ranks in self._ranks.items() for rank in ranks}
        self._since_s = dict.fromkeys(self._ranks, time.monotonic())
        self._failures = dict.fromkeys(self._ranks, 0)
        self._done = dict.fromkeys(self._ranks, 0)
        """The last renewal that each stage that runs has done."""
        self._joining: set[int] = set()
        """Stages that are up, and have not done the last renewal yet."""
        self._due: list[StageStart] = []
        """Starts that are to begin once the engine has numbered the loss."""
        self._starting: dict[Child, StageStart] = {}
        self._lock = Lock()
        """Held while ranks start, so that what they say is not heard before they are known."""
        self._attempts = count(1)
        self._over = Event()
        self.rerouter = Rerouter()
        """What ranks know of a plan that is being applied."""
        self._next = running.template
        """What ranks of stages that are new get."""
        self.problems: dict[int, HexplanError] = {}
        """Why stages were given up; any thread may look."""
        self._overs: dict[int, Event] = {}
        """Set when starts of stages that a plan adds are to end."""
        stages = running.plan.stages
        self._last = messages.Renewal(
            number=0,
            generations=(0,) * len(stages),
            floors=(0,) * len(running.plan.routes),
            others=(),
        )

    def stop(self) -> None:
        """Start nothing any more."""
        self._over.set()
        for over in self._overs.values():
            over.set()
        with self._lock:
            pass

    def read(self, news: Readable) -> Change | None:
        """Return what news mean for the engine, if they mean anything."""
        if isinstance(news, HostLost):
            with self._lock:
                starting = {start.stage: start for start in self._starting.values()}
            for stage in starting.keys() & set(news.stages):
                starting[stage].news.put(news)
            return self._lose([s for s in news.stages if s in self._ranks], news.error)
        if isinstance(news, EdgeLost):
            timer = Timer(_GRACE_S, self._tell, (StillLost(news),))
            timer.daemon = True
            timer.start()
            return None
        if isinstance(news, StillLost):
            return self._judge(news.lost)
        if isinstance(news, StartOver):
            return self._end_start(news)
        if isinstance(news, PLAN_NEWS):
            return self._change_plan(news)
        return self._read_rank(news)

    def _change_plan(self, news: PlanNews) -> Change | None:
        """Take a step from one plan to another, which this mender cannot."""
        raise NotImplementedError

    def renew(self, renewal: Renewal) -> None:
        """Tell the stages that are left what is over, and start those that are lost again."""
        self._last = messages.Renewal(
            number=renewal.number,
            generations=renewal.generations,
            floors=renewal.floors,
            others=tuple(sorted(renewal.others)),
        )
        epochs = edge_epochs(self._running.plan, renewal.generations)

        def is_over(row: Row) -> bool:
            return renewal.is_over(row.request, row.route)

        for stage, sender in list(self._running.senders.items()):
            if isinstance(sender, EdgeSender):
                sender.renew(epochs[ENTRY, stage], is_over, renewal.ended)
        for ranks in self._ranks.values():
            ranks[0].tell(RankOrder(renewal=self._last))
        for start in self._due:
            Thread(target=self._run, args=(start,), daemon=True, name="stage start").start()
        self._due.clear()
        if not self._ranks:
            self._tell(Renewed(renewal.number))

    def _read_rank(self, news: RankNews) -> Change | None:
        with self._lock:
            start = self._starting.get(news.child)
        stage = self._stage_of.get(news.child)
        if isinstance(news, Said) and news.message.event in ("listening", "rerouted"):
            self.rerouter.hear(news.child, news.message, is_new=start is not None)
        elif start is not None:
            start.news.put(news)
        elif stage is None:
            return None
        elif not isinstance(news, Said):
            if isinstance(news, Ended) and news.exit_code == _FAILED:
                for line in news.child.last_words.splitlines():
                    self._how.log(f"{news.child.name}: {line}")
            if isinstance(news, Ended) and news.lacked_memory:
                return self._lose_for_memory(stage, news.failure)
            return self._lose([stage], news.failure)
        elif news.message.event == "renewed":
            return self._note_renewed(stage, news.message.number)
        elif news.message.event == "lost" and news.message.lost is not None:
            return self.read(news.message.lost)
        return None

    def _lose_for_memory(self, stage: int, failure: LaunchError) -> StagesLost | None:
        """Take a stage for lost that will lack memory again, however long it ran."""
        why = with_sum(failure, self._running.plan, stage)
        self._since_s[stage] = float("inf")
        for line in (why.hint or "").splitlines():
            self._how.log(line)
        return self._lose([stage], why)

    def _judge(self, lost: EdgeLost) -> Change | None:
        """Take the stage that called for lost, unless an end of the edge is lost anyway."""
        index = {stage.id: n for n, stage in enumerate(self._running.plan.stages)}
        ends = [index[end] for end in (lost.source, lost.target) if end in index]
        if not all(end in self._ranks for end in ends):
            return None
        return self._lose(ends[:1], HexplanError(lost.message))

    def _note_renewed(self, stage: int, number: int) -> Change | None:
        self._done[stage] = number
        if stage in self._joining and number >= self._last.number:
            self._joining.remove(stage)
            self._how.log(f"{self._name(stage)} is back")
            self._tell(StageBack(stage))
        return Renewed(min(self._done.values()))

    def _lose(self, stages: Sequence[int], why: HexplanError) -> StagesLost | None:
        """Forget the ranks of stages, and begin to start them again."""
        if not stages:
            return None
        self._how.log(f"lost {', '.join(map(self._name, stages))}: {why.message}")
        for stage in stages:
            old = self._ranks.pop(stage)
            self.rerouter.forget(old)
            for rank in old:
                del self._stage_of[rank]
            del self._done[stage]
            self._joining.discard(stage)
            is_steady = time.monotonic() - self._since_s[stage] >= self._how.steady_s
            failures = 0 if is_steady else self._failures[stage]
            start = StageStart(
                stage, self._name(stage), self._how, self._start, self._crews.end, old, failures
            )
            start.over, start.why = self._over, why
            self._due.append(start)
        return StagesLost(frozenset(stages), why.message)

    def _run(self, start: StageStart) -> None:
        self._tell(StartOver(start, start.run()))

    def _start(self, start: StageStart) -> Sequence[Child]:
        """Start the ranks of a stage, in the thread of its start."""
        mine = {
            "stage": start.stage,
            "generations": self._last.generations,
            "attempt": next(self._attempts),
        }
        is_new = start.stage >= len(self._running.template.plan.stages)
        known = self._next if is_new else self._running.template
        assignment = known.model_copy(update=mine)
        if is_new:  # None has it say where it listens
            assignment = assignment.model_copy(update={"directory": self.rerouter.directory})
        names = self._running.names[start.stage]
        start.plan = assignment.plan
        self._crews.prepare(start.stage, assignment)
        with self._lock:
            if start.over.is_set():
                raise HexplanError("the launch has ended")
            ranks = self._crews.start_again(names, assignment)
            self._starting.update(dict.fromkeys(ranks, start))
        return ranks

    def _end_start(self, over: StartOver) -> Change | None:
        start, stage = over.start, over.start.stage
        with self._lock:
            self._starting = {r: s for r, s in self._starting.items() if s is not start}
        if over.failure is not None:
            self._how.log(message := f"{start.name} is given up: {over.failure.message}")
            self.problems[stage] = over.failure
            return StageGone(stage, LaunchError(message, hint=over.failure.hint))
        self._ranks[stage] = tuple(start.ranks)
        self._stage_of.update(dict.fromkeys(start.ranks, stage))
        self._since_s[stage], self._failures[stage] = time.monotonic(), start.failures + 1
        self._done[stage] = 0
        self._joining.add(stage)
        start.ranks[0].tell(RankOrder(renewal=self._last))
        if start.plan is not self._next.plan:
            self.rerouter.tell(start.ranks)
        return None

    def _name(self, stage: int) -> str:
        return f"stage {self._running.plan.stages[stage].id}"
