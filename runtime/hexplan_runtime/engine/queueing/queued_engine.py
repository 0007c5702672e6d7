"""The engine in which a queue says who runs, and requests make way for others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hexplan.plan import Plan
from hexplan.schedule.kv_growth import Share, who_makes_way
from hexplan.schedule.queueing.choices import spare_room, who_runs, who_stops
from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.params import Queueing
from hexplan.schedule.queueing.request_queue import RequestQueue
from hexplan_runtime.batch import Row
from hexplan_runtime.engine.flight import Asked, Flight
from hexplan_runtime.engine.queueing.swapping_engine import SwappingEngine
from hexplan_runtime.engine.queueing.work import work_of
from hexplan_runtime.engine.replay import Loss
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import Logprobs, Request


@dataclass(frozen=True, slots=True)
class _Want:
    """What a request needs that comes next and finds no room."""

    ticket: int
    tokens: int
    routes: Sequence[int]
    """Those that it may take."""


class QueuedEngine(SwappingEngine):
    """Lets requests in, parks them, and moves their KV to host memory and back by precedence.

    Parameters
    ----------
    clock
        Seconds of a clock that never goes back, by which requests starve.
    """

    def __init__(self, plan: Plan, queueing: Queueing, clock: Callable[[], float]) -> None:
        params = queueing.params
        super().__init__(plan, params.host_share)
        self._clock = clock
        self._queue = RequestQueue(queueing.name, work_of(plan), params)
        self._spare_share = params.spare_share
        self._most = self._step_limits.decodes * len(plan.stages)
        self._runs: frozenset[int] = frozenset()
        """Tickets of those that may decode."""

    def grow(self, plan: Plan) -> None:
        """Take a plan with more stages and routes, which are closed, behind those so far."""
        super().grow(plan)
        self._host.grow(self._room.router)
        self._most = self._step_limits.decodes * len(plan.stages)

    # what happens to requests

    def enqueue(self, ticket: int, request: Request) -> None:
        """Let a request wait; the ticket is its place in the order of arrival."""
        super().enqueue(ticket, request)
        job = Job(ticket, len(request.prompt_ids), request.max_tokens, request.client)
        self._queue.arrive(job, self._clock())

    def cancel(self, tickets: Collection[int]) -> Turn:
        """End these requests, and return what tells the stages so."""
        turn = super().cancel(tickets)
        for ticket in tickets:
            self._queue.leave(ticket)
        self._is_due = True
        return turn

    def admit(self) -> Turn:
        """Decide anew who runs, if anything has changed, and return what to send."""
        turn = Turn()
        if self._is_due or self._queue.must_order(self._clock()):
            self._is_due = False
            self._rule(turn)
        self._tidy(turn)
        self._take_decodes(turn)
        self._feed(turn, range(len(self._feeds)))
        return turn

    def lose(self, stages: Collection[int], also: Collection[int] = ()) -> Loss:
        """Take stages for lost; what was on their routes, or these, waits to start over."""
        loss = super().lose(stages, also)
        self._is_due = True
        return loss

    def renewed(self, number: int) -> None:
        """Note that all stages have done a renewal, which frees room."""
        super().renewed(number)
        self._is_due = True

    def _come_back(self, turn: Turn, row: Row, token: int, logprobs: Logprobs | None) -> None:
        flight = self._flights.get(row.request)
        is_known = flight is not None and not flight.is_over
        super()._come_back(turn, row, token, logprobs)
        if flight is not None and is_known:
            ticket, flight.fetches = flight.asked.ticket, False
            self._queue.emit(ticket, self._clock())
            # Whoever ends its prompt may have to wait before it decodes.
            self._is_due = self._is_due or row.position == flight.prompt_tokens
            if flight.has_ended:
                self._queue.leave(ticket)

    def _land(self, row: Row) -> None:
        super()._land(row)
        self._is_due = True

    # who runs

    def _rule(self, turn: Turn) -> None:
        ordered = self._queue.ordered(self._clock())
        running = {
            flight.asked.ticket: flight for flight in self._flights.values() if not flight.is_over
        }
        if not self._room.stalled:
            self._let_in(turn, ordered, running)
        staying = running.keys() - self._stopping.keys() - self._away.keys()
        self._runs = who_runs(ordered, staying, self._most)
        for ticket in staying:
            self._park(turn, running[ticket], parks=ticket not in self._runs)
        self._make_spare_room(turn, [running[ticket] for ticket in staying - self._runs])
        if self._queue.may_stop:
            places = {
                running[ticket].id: n for n, ticket in enumerate(ordered) if ticket in running
            }
            for feed in self._feeds:
                feed.sort(places)

    def _let_in(self, turn: Turn, ordered: list[int], running: dict[int, Flight]) -> None:
        """Let in who finds room, by precedence, and let others make way for the next."""
        waiting = {asked.ticket: asked for asked in self._room.waiting}
        room = self._most
        for ticket in ordered:
            if not room:
                return
            flight, asked = running.get(ticket), waiting.get(ticket)
            if flight is not None and ticket not in self._away:
                room -= ticket not in self._stopping
            elif flight is not None:
                if not self._fetch(flight):
                    want = _Want(ticket, flight.tokens_again, (flight.route,))
                    self._make_room(turn, want, running)
                    return
                room -= 1
            elif asked is not None and self._room.may_enter(asked):
                entered = self._room.enter(asked)
                if entered is None:
                    self._make_room(turn, self._want(asked), running)
                    return
                self._room.withdraw((ticket,))
                running[ticket] = self._begin(turn, asked, *entered)
                self._queue.admit(ticket)
                room -= 1

    def _want(self, asked: Asked) -> _Want:
        """Return what a request that waits needs, and where it may find that."""
        route, most = asked.request.route, asked.request.context_tokens
        routes = self._room.router.open_routes(most) if route is None else (route,)
        return _Want(asked.ticket, self._room.first_tokens(asked), routes)

    def _park(self, turn: Turn, flight: Flight, *, parks: bool) -> None:
        """Let a flight decode or not, once its prompt is through."""
        if flight.parks == parks or not flight.is_decoding:
            return
        flight.parks = parks
        if flight.route not in self._decodes:
            if flight.id not in self._late:
                turn.notices.append(flight.room_row())
        elif not parks and flight.asked.ticket in self._parked:
            self._late[flight.id] = self._parked.pop(flight.asked.ticket)

    # making way

    def _make_room(self, turn: Turn, want: _Want, running: Mapping[int, Flight]) -> None:
        """Let those of lower precedence make way that hold what a request needs."""
        if not self._queue.may_stop:
            return
        order = self._queue.in_order({want.ticket, *running})
        places = {ticket: place for place, ticket in enumerate(order)}
        held = self._shares((one for one in running.values() if self._may_stop(one)), places)
        space, leaving = self._room.router.space, self._leaving()
        holds = self._room.router.holds
        ways = [
            who_stops(space, Share(places[want.ticket], holds[route], want.tokens), held, leaving)
            for route in want.routes
        ]
        stops = min([way for way in ways if way is not None], key=len, default=[])
        going = [running[order[place]] for place in stops]
        if self._host.has_room(going):
            for flight in going:
                self._stop(turn, flight)

    def _make_spare_room(self, turn: Turn, idle: Sequence[Flight]) -> None:
        """Let the last of those make way that only wait, so that whoever arrives finds room."""
        if not idle or self._stopping or not self._queue.may_stop:
            return
        by_ticket = {flight.asked.ticket: flight for flight in idle}
        last = by_ticket[self._queue.in_order(by_ticket)[-1]]
        router = self._room.router
        is_full = not spare_room(router.space, router.holds[last.route], self._spare_share)
        if is_full and self._may_stop(last) and self._host.has_room([last]):
            self._stop(turn, last)

    def _make_way(self, turn: Turn) -> None:
        """Let flights make way for those that must grow, those of the lowest precedence first."""
        if not self._room.stalled:
            return
        running = {
            flight.asked.ticket: flight
            for flight in self._flights.values()
            if not flight.is_over and flight.asked.ticket not in self._away
        }
        order = self._queue.in_order(running)
        places = {ticket: place for place, ticket in enumerate(order)}
        wanted = [
            Share(places[one.asked.ticket], self._room.router.holds[one.route], more)
            for one in self._room.stalled.values()
            if (more := self._room.more_tokens(one))
        ]
        staying = [one for ticket, one in running.items() if ticket not in self._stopping]
        held = self._shares(staying, places)
        for place in who_makes_way(self._room.router.space, wanted, held, self._leaving()):
            flight = running[order[place]]
            if self._may_stop(flight) and self._host.has_room([flight]):
                self._stop(turn, flight)
            else:
                self._restart(turn, flight)
            self._is_due = True

    def _restart(self, turn: Turn, flight: Flight) -> None:
        """Let a flight start over, where its KV cannot be moved."""
        self._end(turn, flight)
        flight.asked.is_again = True
        self._room.enqueue(flight.asked)
        self.preemptions += 1

    def _shares(self, flights: Iterable[Flight], places: Mapping[int, int]) -> list[Share]:
        holds = self._room.router.holds
        return [
            Share(places[one.asked.ticket], holds[one.route], one.reserved_tokens)
            for one in flights
        ]
