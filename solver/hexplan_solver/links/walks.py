"""Which walks the local search takes: short ones from many starts, then long ones from the best."""

from __future__ import annotations

from collections.abc import Iterable

from hexplan.constants import MICRO
from hexplan_solver.links.link_search import LinkSearch
from hexplan_solver.links.local_search import Goal, WalkPlan, improve
from hexplan_solver.placement.placement import Placement


class Walks:
    """Placements with their flows, each of which a walk may improve."""

    def __init__(self, search: LinkSearch, starts: Iterable[Placement]) -> None:
        self._search = search
        self._fresh: list[tuple[int, Placement]] = []
        """Not walked from yet, the best first."""
        self._walked: list[tuple[int, Placement]] = []
        self._attempts = 0
        self._steps = search.params.first_steps
        self.add(starts)

    @property
    def best(self) -> Placement:
        """The placement of largest flow."""
        return self._ranked()[0][1]

    def add(self, starts: Iterable[Placement]) -> None:
        """Add placements to walk from."""
        flow = self._search.valuer.flow
        known = {placement for _, placement in self._ranked()}
        self._fresh += [(flow(start), start) for start in starts if start and start not in known]
        self._fresh.sort(key=lambda pair: -pair[0])
        del self._fresh[self._search.params.first_walks :]

    def walk(self, time_limit_s: float = float("inf")) -> Placement:
        """Walk until the time or all steps are used up, and return the best placement."""
        run, params = self._search.run, self._search.params
        until = run.elapsed_s + min(time_limit_s, run.left_s)
        while self._steps <= params.longest_steps and self._fresh + self._walked:
            gap = run.bound - self._ranked()[0][0]
            if gap <= params.close * run.bound or run.elapsed_s >= until or not run.left_s:
                break
            self._walk_once(until)
        return self.best

    def _walk_once(self, until: float) -> None:
        run, params = self._search.run, self._search.params
        seed = run.options.seed * params.max_walks + self._attempts
        if self._fresh:
            _, start = self._fresh.pop(0)
            plan = WalkPlan(params.first_steps, 1.0, seed)
        else:
            # The second best may lead further: walks from it take turns with those from the best.
            ranked = self._ranked()
            _, start = ranked[min(self._attempts % 2, len(ranked) - 1)]
            plan = WalkPlan(self._steps, params.later_warmth, seed)
            self._steps += self._steps // 2

        known = max((flow for flow, _ in self._ranked()), default=0)

        def may_go_on(best: int) -> bool:
            run.tell("links", max(best, known) / MICRO)
            return run.elapsed_s < until and run.left_s > 0

        found = improve(self._search, start, Goal(run.bound, may_go_on), plan)
        self._walked.append((self._search.valuer.flow(found), found))
        self._attempts += 1

    def _ranked(self) -> list[tuple[int, Placement]]:
        return sorted([*self._walked, *self._fresh], key=lambda pair: -pair[0])
