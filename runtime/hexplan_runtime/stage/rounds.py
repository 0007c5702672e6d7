"""Rounds: the decodes of the routes that begin at a stage, whose tokens come straight back to it.

The router learns of every token too, and decides who has room. It need not be waited for: a request
goes on by itself as far as the room reaches that the router has told of.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.micro_batches import RouteDecodes
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.stage.edges import returns_directly, route_ends
from hexplan_runtime.stage.loops import decode_loop


class Rounds:
    """Sends tokens that come back into their routes again, in micro-batches.

    Batches have one row each here.
    """

    def __init__(self, plan: Plan, stage: str) -> None:
        self._stage = stage
        self._decodes: dict[int, RouteDecodes[int]] = {}
        self._ready: dict[int, deque[list[int]]] = {}
        """Micro-batches of each route that no step has taken yet."""
        self._room: dict[int, int] = {}
        """Tokens that are reserved for each request that has begun and not ended here."""
        self._next: dict[int, Batch] = {}
        """The next token of each request that is not under way."""
        self._parked: set[int] = set()
        """Requests that decode no further until the router says so."""
        self._stowing: dict[int, Row] = {}
        """What moves the KV of requests to host memory as soon as their tokens are back."""
        self._fetching: set[int] = set()
        """Requests whose next decode finds their KV in host memory."""
        self.grow(plan)

    def grow(self, plan: Plan) -> None:
        """Take a plan with more routes behind those so far."""
        largest = step_limits_of(plan).decodes
        for route in range(len(plan.routes)):
            begins_here = route_ends(plan, route)[0] == self._stage
            if route not in self._decodes and begins_here and returns_directly(plan, route):
                self._decodes[route] = RouteDecodes[int](decode_loop(plan, route), largest)
                self._ready[route] = deque()

    def enter(self, batch: Batch) -> Batch | None:
        """Note what the router sends, and return it if it is to run."""
        row = batch.rows[0]
        if row.route not in self._decodes:
            return batch
        if row.closes:
            self.forget(row)
            return batch
        if row.tokens:
            self._room[row.request] = row.context_tokens
            return batch
        if row.request in self._room:
            return self._obey(row)
        return None

    def _obey(self, row: Row) -> Batch | None:
        """Do what the router says of a request that is here, and return what is to run for it."""
        request = row.request
        if row.stows:
            self._park(row)
            self._stowing[request] = row
            return self._stow(request) if request in self._next else None
        waited = request in self._next and self._may_go(row)
        self._room[request] = row.context_tokens
        if row.fetches:
            self._fetching.add(request)
        if row.parks:
            self._park(row)
            return None
        self._parked.discard(request)
        if request in self._next and not waited and self._may_go(row):
            self._decodes[row.route].wait(request)
        return None

    def _stow(self, request: int) -> Batch:
        """Return what moves a request's KV, up to the token that waits here."""
        row = self._stowing.pop(request)
        return Batch((replace(row, position=self._next[request].rows[0].position),))

    def _park(self, row: Row) -> None:
        """Let a request decode no further; what of it is under way comes back first."""
        self._parked.add(row.request)
        if row.request in self._next:
            self._decodes[row.route].drop(row.request)
            for micro_batch in self._ready[row.route]:
                if row.request in micro_batch:
                    micro_batch.remove(row.request)

    def come_back(self, batch: Batch) -> Batch | None:
        """Take what a last stage says, and return the end of a request if it ends one.

        What comes of a request that has ended here is dropped.
        """
        row = batch.rows[0]
        if row.request not in self._room:
            return None
        if row.closes:
            self.forget(row)
            return batch
        self._decodes[row.route].come_back(row.request)
        self._next[row.request] = batch
        if row.request in self._stowing:
            return self._stow(row.request)
        if self._may_go(row):
            self._decodes[row.route].wait(row.request)
        return None

    def take(self) -> list[Batch]:
        """Return what the next step may run: a micro-batch of each route, at most.

        Two that are ready at once would else stay together in all steps to come.
        """
        taken: list[Batch] = []
        for route, decodes in self._decodes.items():
            ready = self._ready[route]
            ready += decodes.take()
            micro_batch: list[int] = []
            while ready and not micro_batch:
                micro_batch = [request for request in ready.popleft() if request in self._next]
            taken += [self._drawn_from(self._next.pop(request)) for request in micro_batch]
        return taken

    def forget(self, row: Row) -> None:
        """Forget a request that is over; one of a route that begins elsewhere is not known."""
        if row.route in self._decodes:
            self._decodes[row.route].drop(row.request)
        self._room.pop(row.request, None)
        self._next.pop(row.request, None)
        self._stowing.pop(row.request, None)
        self._parked.discard(row.request)
        self._fetching.discard(row.request)

    def _may_go(self, row: Row) -> bool:
        """Say whether the next token of a row's request may be sent in."""
        return row.request not in self._parked and self._fits(row)

    def _fits(self, row: Row) -> bool:
        """Say whether there is room for the next token of a row's request."""
        return self._next[row.request].rows[0].position < self._room[row.request]

    def _drawn_from(self, batch: Batch) -> Batch:
        """Return a token that came back as one after which the next is drawn."""
        (row,) = batch.rows
        room = self._room[row.request]
        fetches = row.request in self._fetching
        self._fetching.discard(row.request)
        row = replace(row, context_tokens=room, samples=True, fetches=fetches)
        return replace(batch, rows=(row,))
