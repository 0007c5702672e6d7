"""Masking: which routes no request may take, as a stage of theirs is lost or not proved yet."""

from __future__ import annotations

from collections.abc import Collection

from hexplan.plan import Plan


class Masking:
    """Knows which stages run and which routes are masked.

    A route is masked when a stage of it is lost. It is open again only once a token has really gone
    through, after all its stages are back and those that were left have let go of what was lost.
    """

    def __init__(self, plan: Plan) -> None:
        self._stages = _stages_of(plan)
        self._planned = frozenset(n for n, route in enumerate(plan.routes) if route.weight)
        self.weighings = 0
        """How often other weights were taken so far."""
        self.closed: frozenset[int] = frozenset()
        """Routes that stay masked however their stages are, as plans are changing."""
        self.down: frozenset[int] = frozenset()
        """Stages that are lost and not back."""
        self.generations = [0] * len(plan.stages)
        """How often each stage was lost so far."""
        self.gone: frozenset[int] = frozenset()
        """Stages that nobody starts again."""
        self.masked: frozenset[int] = frozenset()
        self.proved: frozenset[int] = frozenset()
        """Routes that a token has gone through after they had been masked."""

    @property
    def is_shut(self) -> bool:
        """Whether every route that requests may take is masked."""
        return bool(self.masked) and self._planned <= self.masked

    @property
    def is_hopeless(self) -> bool:
        """Whether no route can come back that requests may take."""
        return all(self._stages[route] & self.gone for route in self._planned)

    def lose(self, stages: Collection[int]) -> frozenset[int]:
        """Mask the routes through these stages, and return them."""
        self.down |= frozenset(stages)
        for stage in stages:
            self.generations[stage] += 1
        routes = frozenset(n for n, used in enumerate(self._stages) if used & frozenset(stages))
        self.masked |= routes
        self.proved -= routes
        return routes

    def come_back(self, stage: int) -> None:
        """Note that a stage runs again."""
        self.down -= {stage}

    def unproved(self) -> frozenset[int]:
        """Return the masked routes whose stages all run."""
        return frozenset(
            route
            for route in self.masked - self.closed
            if not self._stages[route] & (self.down | self.gone)
        )

    def grow(self, plan: Plan) -> None:
        """Take a plan with more stages, which do not run yet, and more routes, which are closed."""
        old_stages, old_routes = len(self.generations), len(self._stages)
        self._stages = _stages_of(plan)
        self.generations += [0] * (len(plan.stages) - old_stages)
        self.down |= frozenset(range(old_stages, len(plan.stages)))
        self.close(frozenset(range(old_routes, len(plan.routes))))

    def close(self, routes: Collection[int]) -> None:
        """Mask routes until `open_again`."""
        self.closed |= frozenset(routes)
        self.masked |= frozenset(routes)
        self.proved -= frozenset(routes)

    def open_again(self, routes: Collection[int]) -> None:
        """Let routes be proved that were closed."""
        self.closed -= frozenset(routes)

    def weigh(self, plan: Plan) -> None:
        """Take the routes that have a weight now for those that requests may take."""
        self._planned = frozenset(n for n, route in enumerate(plan.routes) if route.weight)
        self.weighings += 1

    def want_again(self, stages: Collection[int]) -> None:
        """Take stages that nobody started again for lost ones."""
        self.gone -= frozenset(stages)

    def prove(self, route: int) -> None:
        """Open a route, as a token has gone through; one that is masked anew stays so."""
        if route in self.unproved():
            self.masked -= {route}
            self.proved |= {route}


def _stages_of(plan: Plan) -> list[frozenset[int]]:
    index = {stage.id: position for position, stage in enumerate(plan.stages)}
    return [frozenset(index[hop.stage] for hop in route.hops) for route in plan.routes]
