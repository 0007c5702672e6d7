"""Room: which requests hold KV on which route, and which wait for it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Mapping
from math import ceil
from typing import Final

from hexplan.plan import Plan
from hexplan.schedule.kv_growth import (
    Share,
    first_reservation,
    grown_reservation,
    who_makes_way,
)
from hexplan_runtime.engine.flight import Asked, Flight
from hexplan_runtime.engine.router import Router
from hexplan_runtime.request import Request

_AHEAD_TOKENS: Final = 4
"""How long before a request lacks room to ask for more: a few steps, in which the news arrives."""


class Room:
    """Admits requests, first come, first served, and lets their reservations grow.

    A request reserves its prompt and what is expected to follow: the plan's mean output. One that
    needs more gets it in pages. Where a stage is full, the youngest requests there make way and
    wait again, ahead of all that came later.
    """

    def __init__(self, plan: Plan) -> None:
        self.router = Router(plan)
        self.waiting: list[Asked] = []
        """In the order of arrival."""
        self.stalled: dict[int, Flight] = {}
        """Those whose next decode needs room that is not free yet."""
        self._expected_tokens = ceil(plan.workload.output_tokens.mean)

    def weigh(self, plan: Plan) -> None:
        """Choose routes, and reserve for outputs, as the plan says now."""
        self.router.weigh(plan)
        self._expected_tokens = ceil(plan.workload.output_tokens.mean)

    def enqueue(self, asked: Asked) -> None:
        """Let a request wait, ahead of all that came later."""
        insort(self.waiting, asked, key=lambda one: one.ticket)

    def too_long(self) -> list[int]:
        """Return the tickets of those that wait and that no route could ever hold."""
        return [
            asked.ticket
            for asked in self.waiting
            if not self.router.could_serve(asked.request.context_tokens)
        ]

    def withdraw(self, tickets: Collection[int]) -> None:
        """Let requests wait no more."""
        if any(asked.ticket in tickets for asked in self.waiting):
            self.waiting = [asked for asked in self.waiting if asked.ticket not in tickets]

    def admit(self) -> Iterator[tuple[Asked, int, int]]:
        """Yield requests that find room, each with its route and the tokens that it reserves.

        Nobody is let in while those who run lack room. Who has to wait until a masked route is back
        holds up nobody else.
        """
        place = 0
        while place < len(self.waiting) and not self.stalled:
            asked = self.waiting[place]
            if not self.may_enter(asked):
                place += 1
                continue
            entered = self.enter(asked)
            if entered is None:
                return
            self.waiting.pop(place)
            yield asked, *entered

    def may_enter(self, asked: Asked) -> bool:
        """Say whether a request waits for room alone, and not for a route that is masked."""
        request = asked.request
        return request.route is not None or self.router.is_open_for(request.context_tokens)

    def first_tokens(self, asked: Asked) -> int:
        """Return the tokens that a request reserves when it is let in."""
        expected = min(self._expected_tokens, asked.most_left)
        return first_reservation(
            len(asked.tokens), asked.most_left, expected, is_again=asked.is_again
        )

    def enter(self, asked: Asked) -> tuple[int, int] | None:
        """Give a request room, and return its route and tokens; None if it has to wait."""
        tokens = self.first_tokens(asked)
        route = self._take(asked.request, tokens)
        return None if route is None else (route, tokens)

    def _take(self, request: Request, tokens: int) -> int | None:
        if request.route is not None:
            return self.router.take_if_free(request.route, tokens)
        return self.router.take(tokens, request.context_tokens)

    def fits(self, flight: Flight) -> bool:
        """Say whether a flight has room for its next decode; if not, it has to wait."""
        if not flight.lacks_room:
            return True
        more = self.more_tokens(flight)
        if self.router.grow(flight.route, more):
            flight.reserved_tokens += more
            self.stalled.pop(flight.id, None)
            return True
        self.stalled[flight.id] = flight
        return False

    def grows_ahead(self, flight: Flight) -> bool:
        """Let the room of a flight grow that will soon lack it, and say whether it has grown.

        Its stages go on meanwhile, and would otherwise wait until they hear of more.
        """
        most = flight.asked.request.context_tokens
        ahead = len(flight.asked.tokens) + _AHEAD_TOKENS
        if min(ahead, most) <= flight.reserved_tokens:
            return False
        had = flight.reserved_tokens
        if flight.lacks_room:
            return self.fits(flight)
        if self.router.grow(flight.route, more := self.more_tokens(flight)):
            flight.reserved_tokens += more
        return flight.reserved_tokens > had

    def resume(self) -> list[Flight]:
        """Return those that waited and have room now, the oldest first."""
        order = sorted(self.stalled.values(), key=lambda flight: flight.asked.ticket)
        return [flight for flight in order if self.fits(flight)]

    def choose_victims(self, flights: Mapping[int, Flight]) -> list[Flight]:
        """Return the flights that must make way for those that lack room."""
        if not self.stalled:
            return []
        running = [flight for flight in flights.values() if not flight.is_over]
        leaving = [flight for flight in flights.values() if flight.is_over]
        ages = who_makes_way(
            self.router.space,
            [self._share(flight, self.more_tokens(flight)) for flight in self.stalled.values()],
            self._shares(running),
            self._shares(leaving),
        )
        by_age = {flight.asked.ticket: flight for flight in running}
        return [by_age[age] for age in ages]

    @staticmethod
    def more_tokens(flight: Flight) -> int:
        """Return by how much a flight's reservation would grow."""
        reserved, most = flight.reserved_tokens, flight.asked.request.context_tokens
        return grown_reservation(reserved, most) - reserved

    def land(self, flight: Flight) -> None:
        """Free the room of a flight whose end is through all stages."""
        self.router.give_back(flight.route, flight.reserved_tokens)

    def _shares(self, flights: Iterable[Flight]) -> list[Share]:
        return [self._share(flight, flight.reserved_tokens) for flight in flights]

    def _share(self, flight: Flight, tokens: int) -> Share:
        return Share(flight.asked.ticket, self.router.holds[flight.route], tokens)
