"""Routing: which route the next request takes, and who is admitted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from hexplan.schedule.kv_space import KvHold, KvSpace

R = TypeVar("R")
A = TypeVar("A")


class WeightedRoundRobin:
    """Smooth weighted round robin: every choice keeps the counts as near the weights as it can.

    Each turn gives every usable choice its weight as credit; the one with the most credit is taken
    and pays what all were given (nginx's algorithm). Weights are whole, so credits never drift.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = tuple(weights)
        self._credits = [0] * len(self._weights)

    def reweigh(self, weights: Sequence[int]) -> None:
        """Take other weights from now on; who has waited keeps the credit."""
        self._weights = tuple(weights)

    def take(self, usable: Sequence[int]) -> int:
        """Return whose turn it is among the usable positions, of which there is at least one."""
        credits, weights = self._credits, self._weights
        for position in usable:
            credits[position] += weights[position]
        chosen = max(usable, key=credits.__getitem__)
        credits[chosen] -= sum([weights[position] for position in usable])
        return chosen


class RouteChooser:
    """Weighted round robin over the routes that are up and have KV room on every stage.

    Parameters
    ----------
    weights
        Of each route; a route of weight 0 is never taken.
    holds
        Of each route: what a request keeps on it.
    """

    def __init__(
        self, weights: Sequence[int], holds: Sequence[Sequence[KvHold]], space: KvSpace
    ) -> None:
        self._turns = WeightedRoundRobin(weights)
        self._holds = {route: holds[route] for route, weight in enumerate(weights) if weight}
        self._space = space
        self.masked: Collection[int] = ()
        """Routes that are not to be taken for now, whatever their stages say."""

    def reweigh(self, weights: Sequence[int]) -> None:
        """Take other weights from now on; a route that is never taken has 0 again."""
        self._turns.reweigh(weights)

    def choose(
        self,
        tokens: int,
        prompt_tokens: int = 0,
        is_up: Callable[[int], bool] | None = None,
        most_tokens: int = 0,
    ) -> int | None:
        """Return a route for a request of so many tokens, or None if it has to wait.

        Parameters
        ----------
        is_up
            Says whether a stage works; all do if it is None.
        most_tokens
            What the request may grow to, for which a route must have room when it is empty.
        """
        usable = [
            route
            for route, holds in self._holds.items()
            if route not in self.masked
            and (is_up is None or all(is_up(hold.stage) for hold in holds))
            and self._space.has_room(holds, tokens, prompt_tokens)
            and self._space.fits_when_empty(holds, most_tokens)
        ]
        return self._turns.take(usable) if usable else None

    def could_serve(self, tokens: int, prompt_tokens: int = 0) -> bool:
        """Say whether some route would have room if it were empty."""
        return any(
            self._space.fits_when_empty(holds, tokens, prompt_tokens)
            for holds in self._holds.values()
        )

    @property
    def longest_tokens(self) -> int:
        """The longest context that some route could serve; 0 if there is no route."""
        return max(map(self._space.longest_tokens, self._holds.values()), default=0)


def admit_in_order(waiting: deque[R], admit: Callable[[R], A | None]) -> Iterator[A]:
    """Admit waiting requests, first come, first served, until one finds no room.

    Parameters
    ----------
    admit
        Admits a request and returns what comes of it, or None if the request has to wait.
    """
    while waiting:
        admitted = admit(waiting[0])
        if admitted is None:
            return
        waiting.popleft()
        yield admitted
