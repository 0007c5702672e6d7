"""The view: the plan that runs, as its user wrote it, and where its parts are in the launch.

A launch never takes a place away from a stage or a route, so that what is under way keeps its
meaning. So its own plan grows with each plan that is applied, and users see the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

from hexplan.plan import ENTRY, EXIT, Plan
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.snapshot import EdgeTokens, EngineSnapshot
from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic


@dataclass(frozen=True, slots=True)
class View:
    """A plan, and the places of its stages and routes in the plan of the launch."""

    plan: Plan
    whole: Plan
    """The plan of the launch: all stages and routes that it ever had."""
    stages: tuple[int, ...]
    routes: tuple[int, ...]

    @classmethod
    def first(cls, plan: Plan) -> View:
        """Return the view of a launch to which no plan has been applied."""
        return cls(plan, plan, tuple(range(len(plan.stages))), tuple(range(len(plan.routes))))

    def name(self, stage: int) -> str:
        """Return what the launch calls a stage of the plan."""
        return self.whole.stages[self.stages[stage]].id

    def names(self) -> dict[str, str]:
        """Return what the launch calls the stages of the plan, by their ids."""
        return {stage.id: self.name(number) for number, stage in enumerate(self.plan.stages)}

    def of(self, seen: EngineSnapshot) -> EngineSnapshot:
        """Return what a launch does, by the stages, edges and routes of the plan."""
        is_all = len(seen.kv) == len(self.stages) and len(seen.routes) == len(self.routes)
        if is_all and self.plan is self.whole:
            return seen
        ids = [stage.id for stage in self.plan.stages]
        route_at = {place: route for route, place in enumerate(self.routes)}
        return replace(
            seen,
            kv=tuple(
                replace(seen.kv[place], stage=name)
                for name, place in zip(ids, self.stages, strict=True)
            ),
            edges=self._edges(seen.edges),
            routes=tuple(replace(seen.routes[p], route=r) for r, p in enumerate(self.routes)),
            on_routes=tuple(seen.on_routes[place] for place in self.routes),
            weights=tuple(seen.weights[place] for place in self.routes),
            masked=_placed(seen.masked, route_at),
            proved=_placed(seen.proved, route_at),
            generations=tuple(seen.generations[place] for place in self.stages),
            host=self._host(seen.host),
        )

    def _host(self, seen: Sequence[HostTraffic]) -> tuple[HostTraffic, ...]:
        ids = {self.name(number): stage.id for number, stage in enumerate(self.plan.stages)}
        return tuple(
            one.model_copy(update={"stage": ids[one.stage]}) for one in seen if one.stage in ids
        )

    def _edges(self, edges: Sequence[EdgeTokens]) -> tuple[EdgeTokens, ...]:
        names = {self.name(n): stage.id for n, stage in enumerate(self.plan.stages)}
        names |= {ENTRY: ENTRY, EXIT: EXIT}
        known = {
            (names[edge.source], names[edge.target]): edge.tokens
            for edge in edges
            if edge.source in names and edge.target in names
        }
        return tuple(
            EdgeTokens(edge.source, edge.target, known.get((edge.source, edge.target), 0))
            for edge in self.plan.edges
        )


class Current:
    """The plan that runs now, and what runs of it; any thread may ask."""

    def __init__(self, plan: Plan, core: EngineCore) -> None:
        self._core = core
        self._lock = Lock()
        self._view = View.first(plan)
        self.notice: str | None = None
        """What a plan that is being applied, or was not, means for the server."""
        self.is_applying = False
        self.applied = 0
        """How many plans have been applied so far."""
        self.failed = 0
        """How many could not be applied."""
        self.healed = 0
        """How many of those that were applied the launch had found itself, for what was left."""

    @property
    def view(self) -> View:
        """The plan and its places."""
        with self._lock:
            return self._view

    @property
    def plan(self) -> Plan:
        """The plan, as its user wrote it."""
        return self.view.plan

    def turn_to(self, view: View) -> None:
        """Show another plan from now on."""
        with self._lock:
            self._view = view

    def snapshot(self) -> EngineSnapshot:
        """Return what the launch does, by the parts of the plan."""
        return self.look()[1]

    def look(self) -> tuple[Plan, EngineSnapshot]:
        """Return the plan, and what the launch does of it at the same moment."""
        view = self.view
        return view.plan, view.of(self._core.snapshot())


def _placed(routes: Sequence[int], at: dict[int, int]) -> tuple[int, ...]:
    return tuple(sorted(at[route] for route in routes if route in at))
