"""The router: which route the next request takes, and the KV room that it gets there."""

from __future__ import annotations

from hexplan.constants import WEIGHT_DIGITS
from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan.schedule.kv_space import KvHold, KvSpace
from hexplan.schedule.routing import RouteChooser


class Router:
    """Hands out routes, and the KV room of their stages with them."""

    def __init__(self, plan: Plan) -> None:
        self._holds = _holds(plan)
        self._space = KvSpace([stage.kv_tokens for stage in plan.stages])
        weights = [int(route.weight.scaleb(WEIGHT_DIGITS)) for route in plan.routes]
        self._chooser = RouteChooser(weights, self._holds, self._space)

    def check(self, what: str, prompt_tokens: int, max_tokens: int) -> None:
        """Refuse a request that no route could ever hold."""
        needed = prompt_tokens + max_tokens
        if not self._chooser.could_serve(needed):
            message = (
                f"{what}: {prompt_tokens} prompt + {max_tokens} new = {needed} tokens of KV cache; "
                f"the widest route has room for {self._chooser.longest_tokens}"
            )
            raise InputError(message, hint="shorten the prompt, or ask for fewer tokens")

    def take(self, tokens: int, wanted: int | None = None) -> int | None:
        """Return a route, or the wanted one, and keep room on it; None if there is no room."""
        route = self._chooser.choose(tokens) if wanted is None else self._if_free(wanted, tokens)
        if route is not None:
            self._space.reserve(self._holds[route], tokens)
        return route

    def _if_free(self, route: int, tokens: int) -> int | None:
        return route if self._space.has_room(self._holds[route], tokens, 0) else None

    def give_back(self, route: int, tokens: int) -> None:
        """Free the room of a request that is over."""
        self._space.release(self._holds[route], tokens)

    def held_tokens(self) -> tuple[int, ...]:
        """Return the tokens of KV cache that are kept on each stage."""
        return tuple(self._space.reserved)


def _holds(plan: Plan) -> list[tuple[KvHold, ...]]:
    """Return what a request keeps on each route.

    A stage's cache gives every request its tokens in all layers, wherever it enters, so each
    stage counts as one layer.
    """
    position = {stage.id: index for index, stage in enumerate(plan.stages)}
    return [
        tuple(KvHold(position[hop.stage], layers=1) for hop in route.hops) for route in plan.routes
    ]
