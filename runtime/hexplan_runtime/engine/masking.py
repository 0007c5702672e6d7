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
        index = {stage.id: position for position, stage in enumerate(plan.stages)}
        self._stages = [frozenset(index[hop.stage] for hop in route.hops) for route in plan.routes]
        self._planned = frozenset(n for n, route in enumerate(plan.routes) if route.weight)
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
        return frozenset(route for route in self.masked if not self._stages[route] & self.down)

    def prove(self, route: int) -> None:
        """Open a route, as a token has gone through; one that is masked anew stays so."""
        if route in self.unproved():
            self.masked -= {route}
            self.proved |= {route}
