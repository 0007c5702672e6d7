"""The engine: which requests are running, and what to send for each next.

It moves no bytes: the launcher sends what the engine says, and tells it what came back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import count
from math import ceil

from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan_runtime.batch import Batch, Limits, Row
from hexplan_runtime.engine.counts import Counts
from hexplan_runtime.engine.feeding import decodes_of, feeds_of
from hexplan_runtime.engine.flight import Asked, EntryRow, Flight, note_prompts
from hexplan_runtime.engine.replay import Loss, Replays
from hexplan_runtime.engine.requirements import require_possible
from hexplan_runtime.engine.room import Room
from hexplan_runtime.engine.shelf import Kept, Shelf
from hexplan_runtime.engine.snapshot import StageKv
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import GREEDY, Logprobs, Request, TokenEvent


class Engine:
    """Admits requests, follows them, and ends them."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._step_limits = plan, step_limits_of(plan)
        self.reuses_prefixes = True
        """Whether requests may begin with what others leave."""
        self._depth = max((len(route.hops) for route in plan.routes), default=1)
        self._room = Room(plan)
        self._shelf = Shelf(plan, self._room.router.space, self._room.router.holds)
        self._late: dict[int, Flight] = {}
        """Those whose room, or more of it, the shelf has not given back yet."""
        self._decodes, self._feeds = decodes_of(plan), feeds_of(plan)
        self._ids, self._flights = count(), dict[int, Flight]()
        self.counts, self.replays = Counts(plan), Replays(plan, self._room, self._shelf)
        self.preemptions = 0
        """How often a request had to make way for older ones."""

    def grow(self, plan: Plan) -> None:
        """Take a plan with more stages and routes, which are closed, behind those so far."""
        self._plan, self._step_limits = plan, step_limits_of(plan)
        self._depth = max(len(route.hops) for route in plan.routes)
        known = len(self._feeds)
        self._feeds += feeds_of(plan)[known:]
        self._decodes |= {r: decodes for r, decodes in decodes_of(plan).items() if r >= known}
        self._room.router.extend(plan)
        self._shelf.grow(plan)
        self.counts.grow(plan)
        self.replays.grow(plan)

    def weigh(self, plan: Plan) -> None:
        """Let requests take routes by the weights that they have in the plan now."""
        self._room.weigh(plan)
        self.replays.masking.weigh(plan)

    def check(self, what: str, request: Request) -> None:
        """Refuse a request that this pipeline could never run."""
        require_possible(what, request, self._plan.model)
        self._room.router.check(what, len(request.prompt_ids), request.max_tokens)

    def enqueue(self, ticket: int, request: Request) -> None:
        """Let a request wait for room; the ticket is its place in the order of arrival."""
        self._room.enqueue(Asked(ticket, request, list(request.prompt_ids)))

    def admit(self) -> Turn:
        """Let in who finds room, and return what to send."""
        turn = Turn()
        for asked, route, tokens in self._room.admit():
            self._begin(turn, asked, route, tokens)
        self._tidy(turn)
        self._feed(turn, range(len(self._feeds)))
        return turn

    def _begin(self, turn: Turn, asked: Asked, route: int, tokens: int) -> Flight:
        """Let a request begin that has found room."""
        stage = self._plan.routes[route].hops[0].stage
        flight = Flight(next(self._ids), asked, route, stage, tokens, self.reuses_prefixes)
        self._flights[flight.id] = self._late[flight.id] = flight
        self._shelf.touch(route, asked.tokens)
        self.counts.requests[route] += not asked.is_again
        turn.admitted.append(asked.ticket)
        return flight

    def receive(self, batch: Batch) -> Turn:
        """Take what came out of a last stage, and return new tokens, and what to send now."""
        turn = Turn()
        ids: list[int] = [] if batch.token_ids is None else batch.token_ids.tolist()
        note_prompts(self._flights, batch)
        self.counts.passed.take(self._flights, batch)
        for row in batch.rows:
            if not row.tokens and not row.closes:
                self._pass(row)
        told = batch.logprobs or (None,) * len(batch.rows)
        drawn = [pair for pair in zip(batch.rows, told, strict=True) if pair[0].tokens]
        for (row, logprobs), token in zip(drawn, ids, strict=True):
            self._come_back(turn, row, token, logprobs)
        for row in batch.rows:
            if row.closes:
                self._land(row)
        self._make_way(turn)
        if any(row.closes for row in batch.rows):
            self._late |= {flight.id: flight for flight in self._room.resume()}
        self._tidy(turn)
        self._take_decodes(turn)
        self._feed(turn, range(len(self._feeds)))
        return turn

    def cancel(self, tickets: Collection[int]) -> Turn:
        """End these requests, and return what tells the stages so."""
        turn = Turn()
        self._room.withdraw(tickets)
        for flight in list(self._flights.values()):
            if flight.asked.ticket in tickets and not flight.is_over:
                self._end(turn, flight)
        self._tidy(turn)
        self._feed(turn, range(len(self._feeds)))
        return turn

    @property
    def limits(self) -> Limits:
        """How much of prompts to send at once: in as many groups as there are stages in a row.

        With fewer groups some stages would wait; within a group the stages batch as they like.
        """
        rows = max(1, ceil(len(self._flights) / self._depth))
        return Limits(min(self._step_limits.decodes, rows), self._step_limits.tokens)

    @property
    def running(self) -> int:
        """Requests that hold room on a route."""
        return len(self._flights)

    @property
    def waiting(self) -> int:
        """Requests that wait for room, those that had to make way among them."""
        return len(self._room.waiting)

    def kv(self) -> tuple[StageKv, ...]:
        """Return what requests hold of each stage's KV cache, in the plan's order."""
        return self._shelf.kv(self._plan)

    @property
    def flights(self) -> Collection[Flight]:
        """The requests that are on routes, or have left something under way there."""
        return self._flights.values()

    def lose(self, stages: Collection[int], also: Collection[int] = ()) -> Loss:
        """Take stages for lost; what was on their routes, or these, waits to start over."""
        loss = self.replays.lose(stages, self._flights, next(self._ids), also)
        for flight in loss.flights:
            is_cut = not flight.is_over
            if is_cut:
                self._end(Turn(), flight, is_told=True)
            self._note_copied(flight)
            self._shelf.prefixes.remove(flight.id)
            del self._flights[flight.id]
            if is_cut and flight.asked.ticket not in loss.cut:
                flight.asked.is_again = True
                self._room.enqueue(flight.asked)
        return loss

    def renewed(self, number: int) -> None:
        """Note that all stages have done a renewal, which frees room."""
        self.replays.renewed(number)
        self._late |= {flight.id: flight for flight in self._room.resume()}

    def too_long(self) -> list[int]:
        """Return the requests that wait, and for which the plan by now has no room."""
        return self._room.too_long()

    def waiting_tickets(self) -> list[int]:
        """Return the requests that wait for room, in the order of arrival."""
        return [asked.ticket for asked in self._room.waiting]

    def _come_back(self, turn: Turn, row: Row, token: int, logprobs: Logprobs | None) -> None:
        """Take a token; if another is to follow it, it waits to be sent in."""
        flight = self._flights.get(row.request)
        if flight is None or flight.is_over:
            return
        if row.position == flight.prompt_tokens:
            self._feeds[flight.route].finish(flight.id)
            self._note_copied(flight)
            if flight.keeps:
                self._shelf.prefixes.add(flight.id, flight.route, flight.asked.tokens)
        if flight.route in self._decodes:
            self._decodes[flight.route].come_back(flight.id)
        reason = flight.take(token)
        prompt, flight.prompt_logprobs = tuple(flight.prompt_logprobs), []
        event = TokenEvent(flight.asked.ticket, token, flight.has_ended, reason, logprobs, prompt)
        turn.events.append(event)
        if flight.has_ended:
            self._end(turn, flight, is_told=flight.route not in self._decodes)
        elif flight.route in self._decodes:
            if self._room.fits(flight):
                self._late[flight.id] = flight
        else:
            self.counts.tokens[flight.route] += 1
            if self._room.grows_ahead(flight):
                self._late[flight.id] = flight

    def _pass(self, row: Row) -> None:
        """Note that a prompt is through all stages up to a position."""
        flight = self._flights.get(row.request)
        if flight is not None and not flight.is_over:
            self._feeds[flight.route].come_back(flight.id, row.position)
            self._note_copied(flight)

    def _note_copied(self, flight: Flight) -> None:
        if not flight.is_copied:
            flight.is_copied = True
            self._shelf.copied(flight.prefix)

    def _end(self, turn: Turn, flight: Flight, *, is_told: bool = False) -> None:
        """Send no more of a flight, and tell the stages so unless their last one did."""
        flight.is_over = True
        if flight.route in self._decodes:
            self._decodes[flight.route].drop(flight.id)
        self._feeds[flight.route].finish(flight.id)
        self._room.stalled.pop(flight.id, None)
        self._late.pop(flight.id, None)
        if is_told:
            return
        flight.stays = flight.staying(is_read=self._shelf.is_read(flight.id))
        if not flight.stays:
            self._shelf.prefixes.remove(flight.id)
        turn.notices.append(flight.close_row(flight.stays))

    def _make_way(self, turn: Turn) -> None:
        """End the youngest flights where others need their room; they start over later."""
        for flight in self._room.choose_victims(self._flights):
            self._end(turn, flight)
            flight.asked.is_again = True
            self._room.enqueue(flight.asked)
            self.preemptions += 1

    def _land(self, row: Row) -> None:
        """Free a flight's room, unless it ended twice: by its own rule, and by the router's."""
        flight, stays = self._flights.get(row.request), row.position
        if flight is None:
            if not stays:
                self._shelf.land(row.request)
            return
        if flight.stays is not None and stays != flight.stays:
            return
        del self._flights[flight.id]
        self._room.land(flight)
        self._note_copied(flight)
        if stays:
            tokens = flight.asked.tokens[:stays]
            self._shelf.prefixes.add(flight.id, flight.route, tokens)
            self._shelf.keep(Kept(flight.id, flight.route, stays))
        else:
            self._shelf.prefixes.remove(flight.id)

    def _tidy(self, turn: Turn) -> None:
        """Let go of what must go from the shelf, and let those on who have their room now."""
        for kept in self._shelf.let_go():
            stage = self._plan.routes[kept.route].hops[0].stage
            row = Row(kept.request, kept.route, 0, 0, kept.tokens, GREEDY, closes=True)
            turn.notices.append(EntryRow(stage, row, ()))
        for flight in list(self._late.values()):
            if not self._shelf.owes(flight.route):
                del self._late[flight.id]
                self._go_on(turn, flight)

    def _go_on(self, turn: Turn, flight: Flight) -> None:
        """Let a flight begin, or decode with the room that it has by now."""
        if not flight.has_begun:
            flight.has_begun = True
            # Tokens of a prefix run through no stage, which then knows no logprobs of them.
            if flight.keeps and flight.sampling.prompt_logprobs is None:
                flight.prefix = self._shelf.begin(flight.route, flight.asked.tokens)
            feed = self._feeds[flight.route]
            feed.add(flight.id, flight.prompt_tokens, flight.prefix.tokens)
        elif flight.route in self._decodes:
            self._decodes[flight.route].wait(flight.id)
        else:
            turn.notices.append(flight.room_row())

    def _take_decodes(self, turn: Turn) -> None:
        """Take the micro-batches that routes send now."""
        for route, decodes in self._decodes.items():
            for batch in decodes.take():
                self.counts.tokens[route] += len(batch)
                turn.decodes.append([self._flights[one].decode_row() for one in batch])

    def _feed(self, turn: Turn, routes: Iterable[int]) -> None:
        """Take the pieces of prompts that routes send now."""
        for route in routes:
            for piece in self._feeds[route].take():
                self.counts.tokens[route] += piece.end - piece.first
                flight = self._flights[piece.flight]
                turn.prompts.append(flight.prompt_row(piece.first, piece.end))
