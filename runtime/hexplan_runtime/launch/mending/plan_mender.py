"""The mender of a launch to which other plans may be applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event, Thread

from hexplan_runtime.engine.changes import Change, PlanGrown, StagesRetired, StagesWanted
from hexplan_runtime.launch.mending.mender import Mender, Mending, Running
from hexplan_runtime.launch.mending.plan_news import Grow, PlanNews, Retire, Rewire, StartStages
from hexplan_runtime.launch.stage_crew import Crews
from hexplan_runtime.launch.stage_start import Restarts, StageStart
from hexplan_runtime.processes import Child
from hexplan_runtime.stage.messages import Assignment


class PlanMender(Mender):
    """Starts the stages that a plan adds, tells ranks their new routes, and ends what is over."""

    def __init__(
        self,
        running: Running,
        crews: Crews,
        how: Restarts,
        tell: Callable[[Mending | Change], None],
    ) -> None:
        super().__init__(running, crews, how, tell)
        self.ended: set[int] = set()
        """Stages that were retired, and whose ranks are gone; any thread may look."""

    @property
    def running(self) -> Running:
        """What is up, and what all its ranks get."""
        return self._running

    @property
    def template(self) -> Assignment:
        """What all ranks get, but for their place."""
        return self._running.template

    def _change_plan(self, news: PlanNews) -> Change | None:
        """Take a step from one plan to another."""
        if isinstance(news, Grow):
            self._grow(news)
            return PlanGrown(news.template.plan)
        if isinstance(news, StartStages):
            return self._want(news.stages)
        if isinstance(news, Retire):
            return self._retire(news)
        if isinstance(news, Rewire):
            self._next = news.template
            self._tell_routes(frozenset())
        known = self.rerouter.directory
        template = self._next.model_copy(update={"directory": known} if known else {})
        self._running = replace(self._running, plan=template.plan, template=template)
        return None

    def _grow(self, news: Grow) -> None:
        plan = news.template.plan
        more = (0,) * (len(plan.stages) - len(self._last.generations))
        self._last = self._last.model_copy(
            update={
                "generations": self._last.generations + more,
                "floors": self._last.floors + (0,) * (len(plan.routes) - len(self._last.floors)),
            }
        )
        self._failures |= dict.fromkeys(news.names, 0)
        self._since_s |= dict.fromkeys(news.names, 0.0)
        self._running = replace(
            self._running, plan=plan, names={**self._running.names, **news.names}
        )
        self._next = news.template
        self._tell_routes(news.away)

    def _tell_routes(self, away: frozenset[int]) -> None:
        self.rerouter.begin(self._next, away)
        for ranks in self._ranks.values():
            self.rerouter.tell(ranks)

    def _want(self, stages: frozenset[int]) -> Change:
        """Start stages that do not run; they may fail twice."""
        how = replace(self._how, most=min(2, self._how.most))
        for stage in sorted(stages):
            self.problems.pop(stage, None)
            start = StageStart(stage, self._name(stage), how, self._start, self._crews.end, ())
            start.is_again = stage in self.ended
            start.over = self._overs[stage] = Event()
            self.ended.discard(stage)
            Thread(target=self._run, args=(start,), daemon=True, name="stage start").start()
        return StagesWanted(stages)

    def _retire(self, news: Retire) -> Change:
        """Forget the ranks of stages, and end them."""
        for stage in sorted(news.stages):
            old = self._ranks.pop(stage, ())
            self.rerouter.forget(old)
            for rank in old:
                del self._stage_of[rank]
            self._done.pop(stage, None)
            self._joining.discard(stage)
            if stage in self._overs:
                self._overs.pop(stage).set()
            with self._lock:
                old = (*old, *(r for r, s in self._starting.items() if s.stage == stage))
            self._how.log(f"{self._name(stage)} ends: the plan that is applied has no use for it")
            Thread(target=self._end, args=(stage, old), daemon=True, name="stage end").start()
        return StagesRetired(news.stages, news.routes)

    def _end(self, stage: int, ranks: Sequence[Child]) -> None:
        self._crews.end(stage, ranks)
        self.ended.add(stage)
