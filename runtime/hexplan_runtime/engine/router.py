"""The router: which route the next request takes.

Smooth weighted round robin on the plan's weights, over the routes whose every stage has room for
the request's whole context.
"""

from __future__ import annotations

from hexplan.constants import WEIGHT_DIGITS
from hexplan.errors import InputError
from hexplan.plan import Plan, Route


class Router:
    """Hands out routes, and the KV room of their stages with them."""

    def __init__(self, plan: Plan) -> None:
        self._stages = tuple(tuple(hop.stage for hop in route.hops) for route in plan.routes)
        self._weights = tuple(_whole(route) for route in plan.routes)
        self._credits = [0] * len(plan.routes)
        self._free_tokens = {stage.id: stage.kv_tokens for stage in plan.stages}
        self._widest_tokens = max(map(self._room, self._usable()), default=0)

    def check(self, what: str, prompt_tokens: int, max_tokens: int) -> None:
        """Refuse a request that no route could ever hold."""
        needed = prompt_tokens + max_tokens
        if needed > self._widest_tokens:
            message = (
                f"{what}: {prompt_tokens} prompt + {max_tokens} new = {needed} tokens of KV cache; "
                f"the widest route has room for {self._widest_tokens}"
            )
            raise InputError(message, hint="shorten the prompt, or ask for fewer tokens")

    def take(self, tokens: int) -> int | None:
        """Return a route and keep room on it, or nothing if none has room."""
        open_routes = [route for route in self._usable() if self._room(route) >= tokens]
        if not open_routes:
            return None
        for route in open_routes:
            self._credits[route] += self._weights[route]
        chosen = max(open_routes, key=lambda route: self._credits[route])
        self._credits[chosen] -= sum(self._weights[route] for route in open_routes)
        self._add(chosen, -tokens)
        return chosen

    def give_back(self, route: int, tokens: int) -> None:
        """Free the room of a request that is over."""
        self._add(route, tokens)

    def _usable(self) -> tuple[int, ...]:
        return tuple(route for route, weight in enumerate(self._weights) if weight)

    def _room(self, route: int) -> int:
        return min(self._free_tokens[stage] for stage in self._stages[route])

    def _add(self, route: int, tokens: int) -> None:
        for stage in self._stages[route]:
            self._free_tokens[stage] += tokens


def _whole(route: Route) -> int:
    """Return the weight as a whole number, so that credits never drift."""
    return int(route.weight.scaleb(WEIGHT_DIGITS))
