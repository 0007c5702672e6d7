"""Replay: what was on the routes of a lost stage starts over, and what it held is freed in time.

A request is replayed from its prompt and the tokens that its caller has. What is drawn depends on
seed and position alone, so it goes on as if nothing had happened. Stages that are left may still
hold what it had there: that room is given away again only once they say that they let go of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from hexplan.plan import Plan
from hexplan_runtime.engine.changes import Renewal
from hexplan_runtime.engine.flight import Flight
from hexplan_runtime.engine.masking import Masking
from hexplan_runtime.engine.room import Room
from hexplan_runtime.engine.router import Router
from hexplan_runtime.engine.shelf import Kept, Shelf

MOST_REPLAYS: Final = 8
"""How often a request may start over: one that itself ends stages must not end them for ever."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What goes with stages that are lost."""

    renewal: Renewal
    """What the stages that are left must be told."""
    flights: tuple[Flight, ...]
    """Those that go no further."""
    cut: tuple[int, ...]
    """Tickets that do not start over: they ask for a lost route, or have started over too often."""


class Replays:
    """Follows lost stages: which routes are masked, and whose room is still to be freed."""

    def __init__(self, plan: Plan, room: Room, shelf: Shelf) -> None:
        self._room, self._shelf = room, shelf
        self.masking = Masking(plan)
        self.number = 0
        """That of the last renewal."""
        self.done = 0
        """The last renewal that all stages have done."""
        self.count = 0
        """How often a request had to start over because of a lost stage."""
        self._floors = [0] * len(plan.routes)
        self._held: list[tuple[int, list[Flight], list[Kept]]] = []
        """By the renewal that ends them."""

    @property
    def router(self) -> Router:
        """What gives requests their routes."""
        return self._room.router

    def lose(
        self,
        stages: Collection[int],
        flights: Mapping[int, Flight],
        floor: int,
        also: Collection[int] = (),
    ) -> Loss:
        """Mask the routes of stages, and return what was on them.

        Parameters
        ----------
        floor
            Above all requests so far, and below all to come.
        also
            Routes that are over, though their stages go on.
        """
        routes = self.masking.lose(stages) | frozenset(also)
        self._room.router.mask(self.masking.masked)
        self.number += 1
        for route in routes:
            self._floors[route] = floor
        kept = self._shelf.lose(routes)
        on_routes = [flight for flight in flights.values() if flight.route in routes]
        gone = {flight.id for flight in on_routes} | {one.request for one in kept}
        others = [
            flight
            for flight in flights.values()
            if flight.route not in routes
            and not flight.is_copied
            and not gone.isdisjoint(flight.prefix.sources)
        ]
        lost = (*on_routes, *others)
        self.count += sum(not flight.is_over for flight in lost)
        self._held.append((self.number, list(lost), kept))
        ids = frozenset(flight.id for flight in others)
        generations, floors = tuple(self.masking.generations), tuple(self._floors)
        ended = frozenset(gone | ids)
        renewal = Renewal(self.number, frozenset(stages), generations, floors, ids, ended)
        running = [flight.asked for flight in lost if not flight.is_over]
        for asked in running:
            asked.replays += 1
        cut = tuple(
            asked.ticket
            for asked in (*running, *self._room.waiting)
            if asked.request.route in routes or asked.replays > MOST_REPLAYS
        )
        return Loss(renewal, lost, cut)

    def renewed(self, number: int) -> None:
        """Free the room of what all stages have let go of."""
        self.done = max(self.done, number)
        for held, flights, kept in self._held:
            if held <= number:
                for flight in flights:
                    self._room.land(flight)
                self._shelf.free(kept)
        self._held = [one for one in self._held if one[0] > number]

    def grow(self, plan: Plan) -> None:
        """Take a plan with more stages and routes, whose routes are closed."""
        self.masking.grow(plan)
        self._floors += [0] * (len(plan.routes) - len(self._floors))
        self._room.router.mask(self.masking.masked)

    def close(self, routes: Collection[int]) -> None:
        """Let no request take routes until they are opened again."""
        self.masking.close(routes)
        self._room.router.mask(self.masking.masked)

    def to_probe(self) -> frozenset[int]:
        """Return the masked routes through which a token could go now."""
        return self.masking.unproved() if self.done == self.number else frozenset()

    def prove(self, route: int) -> None:
        """Let requests take a route again, as a token has gone through it."""
        self.masking.prove(route)
        self._room.router.mask(self.masking.masked)
