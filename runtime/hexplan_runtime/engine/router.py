"""The router: which route the next request takes, and the KV room that it gets there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hexplan.constants import WEIGHT_DIGITS
from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan.schedule.kv_space import KvHold, KvSpace
from hexplan.schedule.routing import RouteChooser


class Router:
    """Hands out routes, and the KV room of their stages with them."""

    def __init__(self, plan: Plan) -> None:
        self.holds = _holds(plan)
        """Of each route: the stages where a request keeps room."""
        self.space = KvSpace([stage.room_tokens for stage in plan.stages])
        """What is kept on each stage, in the plan's order."""
        self._weights = self.planned = _weights(plan)
        self._chooser = RouteChooser(self._weights, self.holds, self.space)

    @property
    def weights(self) -> tuple[int, ...]:
        """What routes weigh now, in parts of a billion."""
        return self._weights

    def reweigh(self, weights: Sequence[int]) -> None:
        """Choose routes by these weights for now; those of the plan that are 0 stay so."""
        self._weights = tuple(weights)
        self._chooser.reweigh(self._weights)

    def extend(self, plan: Plan) -> None:
        """Take a plan with more stages and routes; no request takes one of these yet."""
        self.holds += _holds(plan)[len(self.holds) :]
        more = tuple(stage.room_tokens for stage in plan.stages[len(self.space.reserved) :])
        self.space.capacity += more
        self.space.limit += more
        self.space.reserved += [0] * len(more)
        unweighed = (0,) * (len(plan.routes) - len(self._weights))
        self._weights += unweighed
        self.planned += unweighed

    def weigh(self, plan: Plan) -> None:
        """Choose routes by the weights that they have in the plan now."""
        masked, self._weights = self._chooser.masked, _weights(plan)
        self.planned = self._weights
        self._chooser = RouteChooser(self._weights, self.holds, self.space)
        self._chooser.masked = masked

    def mask(self, routes: Collection[int]) -> None:
        """Let no request take these routes, but for those that ask for them."""
        self._chooser.masked = frozenset(routes)

    def is_open_for(self, tokens: int) -> bool:
        """Say whether a route that is not masked could hold so many tokens when it is empty."""
        return bool(self.open_routes(tokens))

    def could_serve(self, tokens: int) -> bool:
        """Say whether some route that requests may take could hold so many when it is empty."""
        return self._chooser.could_serve(tokens)

    def check(self, what: str, prompt_tokens: int, max_tokens: int) -> None:
        """Refuse a request that no route could ever hold."""
        needed = prompt_tokens + max_tokens
        if not self._chooser.could_serve(needed):
            message = (
                f"{what}: {prompt_tokens} prompt + {max_tokens} new = {needed} tokens of KV cache; "
                f"the widest route has room for {self._chooser.longest_tokens}"
            )
            raise InputError(message, hint="shorten the prompt, or ask for fewer tokens")

    def take(self, tokens: int, most_tokens: int = 0) -> int | None:
        """Return a route and keep room on it, or None if no route has room.

        Parameters
        ----------
        most_tokens
            What the request may grow to, for which the route must have room when it is empty.
        """
        route = self._chooser.choose(tokens, most_tokens=most_tokens)
        if route is not None:
            self.space.reserve(self.holds[route], tokens)
        return route

    def open_routes(self, most_tokens: int) -> list[int]:
        """Return the routes that a request of so many tokens may take, whoever has their room."""
        return [
            route
            for route, weight in enumerate(self._weights)
            if weight
            and route not in self._chooser.masked
            and self.space.fits_when_empty(self.holds[route], most_tokens)
        ]

    def take_if_free(self, route: int, tokens: int) -> int | None:
        """Keep room on one route, as a probe asks for; None if it has none."""
        if not self.space.has_room(self.holds[route], tokens):
            return None
        self.space.reserve(self.holds[route], tokens)
        return route

    def grow(self, route: int, tokens: int) -> bool:
        """Keep room for more tokens of a request; False if a stage of its route is full."""
        return self.space.grow(self.holds[route], tokens)

    def give_back(self, route: int, tokens: int) -> None:
        """Free the room of a request that is over."""
        self.space.release(self.holds[route], tokens)


def _holds(plan: Plan) -> list[tuple[KvHold, ...]]:
    """Return what a request keeps on each route.

    A stage's cache gives every request its tokens in all layers, wherever it enters, so each
    stage counts as one layer.
    """
    position = {stage.id: index for index, stage in enumerate(plan.stages)}
    return [
        tuple(KvHold(position[hop.stage], layers=1) for hop in route.hops) for route in plan.routes
    ]


def _weights(plan: Plan) -> tuple[int, ...]:
    return tuple(int(route.weight.scaleb(WEIGHT_DIGITS)) for route in plan.routes)
