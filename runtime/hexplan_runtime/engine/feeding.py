"""Feeding: prompts enter a route piece by piece, and only so many tokens of them are under way.

What waits at the router can still be cancelled, or make way. What is under way must suffice to keep
each stage of the route busy, and one step more waiting at the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.micro_batches import Loop, RouteDecodes
from hexplan.schedule.step import prompt_room
from hexplan.step_limits import StepLimits
from hexplan_runtime.stage.loops import loops_of
from hexplan_runtime.stage.topology import returns_directly

_MOST_STEPS = 16
"""Steps of prompts under way, at most, however long the way is."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens `[first, end)` of one flight's prompt."""

    flight: int
    first: int
    end: int


class PromptFeed:
    """The prompts of one route, first come, first served unless they are sorted."""

    def __init__(self, limits: StepLimits, steps_under_way: int) -> None:
        self._piece = prompt_room(limits, limits.decodes)
        self._most_under_way = steps_under_way * limits.tokens
        self._waiting: deque[Piece] = deque()
        self._under_way: dict[int, int] = {}
        self._passed: dict[int, int] = {}
        self._total = 0

    def add(self, flight: int, tokens: int, first: int = 0) -> None:
        """Take a prompt of so many tokens, of which those from `first` on are to run."""
        self._waiting.append(Piece(flight, first, tokens))
        self._passed[flight] = first

    def sort(self, places: Mapping[int, int]) -> None:
        """Let the prompts that wait go in another order, given by the places of their flights."""
        if len(self._waiting) > 1:
            last = len(places)
            order = sorted(self._waiting, key=lambda piece: places.get(piece.flight, last))
            self._waiting = deque(order)

    def take(self) -> list[Piece]:
        """Return the pieces to send now; each fits into a step beside all its decodes."""
        taken = []
        while self._waiting:
            piece = self._waiting[0]
            flight, first, end = piece.flight, piece.first, piece.end
            cut = min(end, first + self._piece)
            if self._total and self._total + cut - first > self._most_under_way:
                break
            self._waiting.popleft()
            if cut < end:
                self._waiting.appendleft(Piece(flight, cut, end))
            self._total += cut - first
            self._under_way[flight] = self._under_way.get(flight, 0) + cut - first
            taken.append(Piece(flight, first, cut))
        return taken

    def come_back(self, flight: int, end: int) -> None:
        """Note that a prompt is through all stages up to a position; one that is over is left."""
        if flight not in self._under_way:
            return
        first = self._passed[flight]
        self._passed[flight] = end
        self._under_way[flight] -= end - first
        self._total -= end - first

    def finish(self, flight: int) -> None:
        """Forget a flight: its whole prompt is through, or the stages drop what is under way."""
        self._total -= self._under_way.pop(flight, 0)
        self._passed.pop(flight, None)
        if any(piece.flight == flight for piece in self._waiting):
            self._waiting = deque(piece for piece in self._waiting if piece.flight != flight)


def feeds_of(plan: Plan) -> list[PromptFeed]:
    """Return the feed of each route."""
    limits = step_limits_of(plan)
    return [PromptFeed(limits, steps_under_way(loop)) for loop in loops_of(plan)]


def decodes_of(plan: Plan) -> dict[int, RouteDecodes[int]]:
    """Return the decodes of the routes whose tokens come back to the router before they go on."""
    limits = step_limits_of(plan)
    return {
        route: RouteDecodes[int](loop, limits.decodes)
        for route, loop in enumerate(loops_of(plan))
        if not returns_directly(plan, route)
    }


def steps_under_way(loop: Loop) -> int:
    """Return the steps of prompts that keep a route busy.

    That is one a stage, one that waits at the first, and those that are between stages.
    """
    between = sum(move.latency_s for move in loop.moves) / loop.busiest_s(1)
    return min(_MOST_STEPS, len(loop.visits) + 1 + ceil(between))
