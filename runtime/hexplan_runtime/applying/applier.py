"""The applier: brings a launch from its plan to another one, and loses no request.

New stages start and load beside the old ones where memory allows, and new routes open once a token
has gone through each. Only then are requests sent there. Those of routes that are removed end, or
start over on others from what their clients have, before stages end that nobody needs any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from threading import Lock, Thread
from typing import Final

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.plan import Plan
from hexplan_runtime.applying.growth import Growth, growth_of
from hexplan_runtime.applying.view import Current
from hexplan_runtime.applying.wires import Wires
from hexplan_runtime.engine.changes import (
    Patience,
    RoutesClosed,
    RoutesOpened,
    RoutesWeighed,
)
from hexplan_runtime.engine.snapshot import EngineSnapshot
from hexplan_runtime.launch.mending.plan_mender import PlanMender
from hexplan_runtime.launch.mending.plan_news import Grow, Retire, Rewire, Settle, StartStages
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.supported import require_supported

DRAIN_S: Final = 30.0
"""How long requests on routes that are removed may take to end before they start over elsewhere."""
_LOOK_S: Final = 0.05
_REROUTE_S: Final = 60.0
"""How long stages that go on may take to learn new routes."""
_OPEN_S: Final = 150.0
"""How long a token may take through a new route: a lost one is sent again after 60 s."""
_END_S: Final = 30.0


@dataclass(slots=True)
class Progress:
    """How far a plan is applied; the applier's thread writes it."""

    steps: tuple[str, ...] = ()
    is_over: bool = True
    problem: HexplanError | None = None
    """Why it was not applied, if it is over."""


class Applier:
    """Applies plans to a launch, one at a time.

    Parameters
    ----------
    log
        Takes a line about each step, in the applier's thread.
    """

    def __init__(
        self, pipeline: Pipeline, current: Current, log: Callable[[str], None] = lambda line: None
    ) -> None:
        self._pipeline, self._current, self._log = pipeline, current, log
        self._wires: Wires | None = None
        self._lock = Lock()
        self.progress = Progress()
        self._is_switched = False
        self._ended: frozenset[int] = frozenset()
        """The stages that have ended before others could start."""

    def look(self, plan: Plan) -> Growth:
        """Return what applying a plan would do.

        Raises
        ------
        InputError
            It cannot be applied to this launch while it runs.
        """
        require_supported(plan)
        self._mender()
        growth = growth_of(self._current.view, plan)
        self._pipeline.require_room_for(growth.after.whole, growth.added)
        return growth

    def begin(self, plan: Plan, drain_s: float = DRAIN_S) -> Growth:
        """Begin to apply a plan, and return what that does.

        Raises
        ------
        InputError
            It cannot be applied, or another one is being applied.
        """
        with self._lock:
            if not self.progress.is_over:
                raise InputError("another plan is being applied", hint="wait until that is done")
            growth = self.look(plan)
            self.progress = Progress(is_over=False)
        Thread(target=self._run, args=(growth, drain_s), daemon=True, name="applier").start()
        return growth

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is being applied, and say whether it is so."""
        deadline_s = time.monotonic() + timeout_s
        while not self.progress.is_over and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        return self.progress.is_over

    def _run(self, growth: Growth, drain_s: float) -> None:
        self._is_switched, self._ended = False, frozenset()
        problem: HexplanError | None = HexplanError("the applier has ended with a bug of hexplan")
        self._current.is_applying = True
        self._current.notice = "another plan is being applied"
        try:
            self._pipeline.tell(Patience(is_endless=True))
            self._apply(growth, drain_s)
            self._current.applied += 1
            problem = None
            self._step("the plan is applied")
        except HexplanError as error:
            problem = error
            self._current.failed += 1
            self._go_back(growth, problem)
        finally:
            self._pipeline.tell(Patience(is_endless=False))
            self._current.notice = (self.progress.steps or (None,))[-1]
            self._current.is_applying = False
            self.progress.problem = problem
            self.progress.is_over = True

    def _apply(self, growth: Growth, drain_s: float) -> None:
        changes_stages = growth.opened or growth.removed or growth.added or growth.retired
        if changes_stages:
            self._grow(growth)
        if growth.first:
            self._make_room(growth, drain_s)
        if growth.opened or growth.added:
            self._open(growth)
        before = self._pipeline.core.snapshot().weighings
        self._pipeline.tell(RoutesWeighed(growth.after.whole))
        self._until(lambda seen: seen.weighings > before, _END_S, "the engine")
        self._is_switched = True
        self._current.turn_to(growth.after)
        self._step("requests take the routes of the new plan")
        if changes_stages:
            self._end_others(growth, drain_s)

    def _grow(self, growth: Growth) -> None:
        """Let the launch know the new stages and routes, which nothing uses yet."""
        mender = self._mender()
        wires = self._wires = self._wires or Wires(mender.template.plan, mender.template.edges)
        whole = growth.after.whole
        new = wires.add(whole, growth.after.routes)
        template = mender.template.model_copy(update={"plan": whole, "edges": wires.edges})
        self._pipeline.prepare_for(template, growth.added)
        news = Grow(
            template,
            {stage: self._pipeline.rank_names(whole, stage) for stage in growth.added},
            self._pipeline.between_machines(whole, new),
        )
        self._pipeline.tell(news)
        self._until(lambda seen: len(seen.generations) == len(whole.stages), _END_S, "the plan")

    def _make_room(self, growth: Growth, drain_s: float) -> None:
        """End the stages whose memory others need, once requests have left them."""
        names = ", ".join(growth.before.whole.stages[n].id for n in sorted(growth.first))
        self._step(f"{names}: others need the memory, so requests leave")
        self._pipeline.tell(RoutesClosed(growth.closed_first))
        self._drain(growth.closed_first, drain_s)
        self._ended = growth.first - {*self._pipeline.core.snapshot().gone}
        self._retire(growth.first, frozenset())

    def _open(self, growth: Growth) -> None:
        """Start what is new, and wait until a token has gone through each new route."""
        mender, whole = self._mender(), growth.after.whole
        if growth.added:
            names = ", ".join(whole.stages[stage].id for stage in sorted(growth.added))
            self._step(f"{names}: starting")
            self._pipeline.tell(StartStages(growth.added))
        self._await(lambda: self._may_start(growth.added) and mender.rerouter.directory is not None)
        self._pipeline.open_edges(mender.rerouter)
        self._await_up(growth.added)
        self._await(lambda: mender.rerouter.is_done, _REROUTE_S, "stages that go on")
        self._pipeline.tell(Settle())
        self._pipeline.tell(RoutesOpened(growth.opened))
        self._until(
            lambda seen: not growth.opened & {*seen.masked}, _OPEN_S, "a token through new routes"
        )

    def _await_up(self, stages: frozenset[int]) -> None:
        """Wait until stages are up, however long they read their weights."""
        self._until(lambda seen: self._may_start(stages) and not stages & {*seen.down, *seen.gone})

    def _may_start(self, stages: frozenset[int]) -> bool:
        """Return that nobody has given up stages yet.

        Raises
        ------
        HexplanError
            Why one was given up.
        """
        problems = self._mender().problems
        for stage in stages & problems.keys():
            raise problems[stage]
        return True

    def _end_others(self, growth: Growth, drain_s: float) -> None:
        """Let requests leave what is removed, and end the stages that nobody needs."""
        if growth.removed - growth.closed_first:
            self._drain(growth.removed, drain_s)
        self._retire(growth.retired - self._ended, growth.removed)
        self._rewire(growth.after.whole, growth.after.routes)

    def _rewire(self, whole: Plan, routes: Collection[int]) -> None:
        """Keep the edges that routes take, and close the others."""
        assert self._wires is not None
        self._wires.keep(whole, routes)
        update = {"plan": whole, "edges": self._wires.edges}
        self._pipeline.tell(Rewire(self._mender().template.model_copy(update=update)))
        self._pipeline.close_edges(self._wires.edges)

    def _drain(self, routes: frozenset[int], drain_s: float) -> None:
        """Wait until requests have left routes, for a while: after it, they start over."""
        deadline_s = time.monotonic() + drain_s
        while time.monotonic() < deadline_s:
            seen = self._pipeline.core.snapshot()
            if not any(seen.on_routes[route] for route in routes):
                return
            time.sleep(_LOOK_S)

    def _retire(self, stages: frozenset[int], routes: frozenset[int]) -> None:
        mender = self._mender()
        self._pipeline.tell(Retire(stages, routes))
        self._await(lambda: stages <= mender.ended, _END_S, "the end of stages")

    def _go_back(self, growth: Growth, problem: HexplanError) -> None:
        """Say what serves now, after having let the plan before serve again if it can."""
        if self._is_switched:
            self._step(f"the new plan serves, but: {problem.message}")
            return
        self._step(f"the plan is not applied: {problem.message}")
        try:
            self._restore(growth)
        except HexplanError as error:
            self._step(f"the plan before it does not serve as before: {error.message}")
        else:
            self._step("the plan before it goes on")

    def _restore(self, growth: Growth) -> None:
        whole, before = growth.held_back, growth.before
        grown = self._pipeline.core.snapshot()
        if len(grown.generations) < len(whole.stages) or len(grown.routes) < len(whole.routes):
            return  # nothing of the new plan has begun
        self._current.turn_to(replace(before, whole=whole))
        self._retire(growth.added, growth.opened)
        self._rewire(whole, before.routes)
        if self._ended:
            self._pipeline.tell(StartStages(self._ended))
            self._await_up(self._ended)
        self._pipeline.tell(RoutesOpened(growth.closed_first))

    def _step(self, line: str) -> None:
        self.progress.steps += (line,)
        self._log(line)

    def _until(
        self, is_so: Callable[[EngineSnapshot], bool], limit_s: float | None = None, what: str = ""
    ) -> None:
        self._await(lambda: is_so(self._pipeline.core.snapshot()), limit_s, what)

    def _await(
        self, is_so: Callable[[], bool], limit_s: float | None = None, what: str = ""
    ) -> None:
        """Wait until something is so, while the launch lives."""
        begun_s = time.monotonic()
        while not is_so():
            self._pipeline.core.require_running()
            if limit_s is not None and time.monotonic() - begun_s > limit_s:
                message = f"waited {limit_s:g} s for {what}"
                raise LaunchError(message)
            time.sleep(_LOOK_S)

    def _mender(self) -> PlanMender:
        """Return who starts and ends stages.

        Raises
        ------
        InputError
            The launch has none.
        """
        if self._pipeline.mender is None:
            message = "the launch does not start stages again, so that no plan can be applied to it"
            raise InputError(message, hint="serve without `--restarts 0`")
        return self._pipeline.mender
