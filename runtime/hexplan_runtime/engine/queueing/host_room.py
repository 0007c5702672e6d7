"""Host room: what of the KV of requests is in host memory, as the router knows it."""

from __future__ import annotations

from collections.abc import Iterable

from hexplan_runtime.engine.flight import Flight
from hexplan_runtime.engine.router import Router


class HostRoom:
    """The second tier of the stages' KV caches.

    Parameters
    ----------
    share
        Its size, as a multiple of each stage's cache.
    """

    def __init__(self, router: Router, share: float) -> None:
        self._share = share
        self._kept: dict[int, tuple[int, int]] = {}
        """Route and tokens of each flight that has something there, or is about to."""
        self.used: list[int] = []
        """Tokens on the host of each stage."""
        self.grow(router)

    def grow(self, router: Router) -> None:
        """Take a router that may know more stages and routes by now."""
        self._holds = router.holds
        self._capacity = [int(self._share * tokens) for tokens in router.space.capacity]
        self.used += [0] * (len(self._capacity) - len(self.used))

    def has_room(self, flights: Iterable[Flight]) -> bool:
        """Say whether there is room for what some flights have together."""
        used = list(self.used)
        for flight in flights:
            for hold in self._holds[flight.route]:
                used[hold.stage] += hold.layers * flight.reserved_tokens
        return all(a <= b for a, b in zip(used, self._capacity, strict=True))

    def take(self, flight: Flight) -> None:
        """Keep room for as much as a flight may have when its KV is moved."""
        self._kept[flight.id] = flight.route, flight.reserved_tokens
        self._add(flight.route, flight.reserved_tokens)

    def give_back(self, flight: Flight) -> None:
        """Free what was kept for a flight, if anything."""
        route, tokens = self._kept.pop(flight.id, (flight.route, 0))
        self._add(route, -tokens)

    def _add(self, route: int, tokens: int) -> None:
        for hold in self._holds[route]:
            self.used[hold.stage] += hold.layers * tokens
