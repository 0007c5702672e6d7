"""The engine: which requests are running, and what to send for each next.

It moves no bytes: the launcher sends what the engine says, and tells it what came back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.micro_batches import RouteDecodes
from hexplan.schedule.step import prompt_room
from hexplan_runtime.batch import Batch, Limits, Row
from hexplan_runtime.engine.loops import loops_of
from hexplan_runtime.engine.router import Router
from hexplan_runtime.engine.snapshot import EdgeTokens, RouteTokens, StageKv
from hexplan_runtime.request import FinishReason, Request, TokenEvent
from hexplan_runtime.stage.edges import route_edges


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A row and its tokens, for the stage where its route begins."""

    stage: str
    row: Row
    token_ids: tuple[int, ...]


@dataclass(slots=True)
class _Flight:
    """A request that holds room on its route."""

    request: Request
    route: int
    produced: int = 0
    last_token: int = 0
    is_over: bool = False


class Engine:
    """Admits requests, follows them, and ends them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._step_limits = step_limits_of(plan)
        self._depth = max((len(route.hops) for route in plan.routes), default=1)
        self._router = Router(plan)
        self._decodes: list[RouteDecodes[int]] = [
            RouteDecodes(loop, self._step_limits.decodes) for loop in loops_of(plan)
        ]
        self._flights: dict[int, _Flight] = {}
        self._tokens_by_route = [0] * len(plan.routes)

    def check(self, what: str, request: Request) -> None:
        """Refuse a request that this pipeline could never run."""
        model = self._plan.model
        wrong = next((t for t in request.prompt_ids if not 0 <= t < model.vocab), None)
        if wrong is not None:
            message = f"{what}: prompt token {wrong}, must be >= 0 and < {model.vocab}"
            raise InputError(message)
        prompt, new = len(request.prompt_ids), request.max_tokens
        if prompt + new > model.max_context:
            message = (
                f"{what}: {prompt} prompt + {new} new = {prompt + new} tokens; "
                f"{model.name} was made for {model.max_context}"
            )
            raise InputError(message, hint="shorten the prompt, or ask for fewer tokens")
        self._router.check(what, prompt, new)

    def admit(self, flight_id: int, request: Request) -> list[EntryRow] | None:
        """Return the prompt in pieces, or nothing if the request must wait for room.

        Its id must be new: the stages know the request by it.

        A piece fits into a step beside all the decodes that the step may hold.
        """
        route = self._router.take(request.context_tokens, request.route)
        if route is None:
            return None
        self._flights[flight_id] = _Flight(request, route)
        prompt = request.prompt_ids
        size = prompt_room(self._step_limits, self._step_limits.decodes)
        return [
            self._entry_row(flight_id, first, prompt[first : first + size])
            for first in range(0, len(prompt), size)
        ]

    def receive(self, batch: Batch) -> tuple[list[TokenEvent], list[list[EntryRow]]]:
        """Take what came out of a last stage; return new tokens, and what to send now.

        Each list of rows goes to one stage, together.
        """
        ids: list[int] = [] if batch.token_ids is None else batch.token_ids.tolist()
        sampled = [row for row in batch.rows if not row.closes]
        events, closes = [], []
        for row, token in zip(sampled, ids, strict=True):
            flight = self._flights[row.request]
            if not flight.is_over:
                self._decodes[flight.route].come_back(row.request)
                event = self._advance(row.request, token)
                events.append(event)
                if event.is_last:
                    closes.append(self._close_row(row.request))
        for row in batch.rows:
            if row.closes:
                self._land(row.request)
        routes = dict.fromkeys(row.route for row in sampled)
        return events, _by_stage(closes, self._take_decodes(routes))

    def cancel(self, flight_ids: Iterable[int]) -> list[EntryRow]:
        """End those of these requests that are under way, and return what tells the stages so."""
        rows = []
        for flight_id in flight_ids:
            flight = self._flights.get(flight_id)
            if flight is not None and not flight.is_over:
                flight.is_over = True
                self._decodes[flight.route].drop(flight_id)
                rows.append(self._close_row(flight_id))
        return rows

    @property
    def running(self) -> int:
        """Requests that hold room on a route."""
        return len(self._flights)

    def kv(self) -> tuple[StageKv, ...]:
        """Return what requests hold of each stage's KV cache, in the plan's order."""
        held = self._router.held_tokens()
        return tuple(
            StageKv(stage.id, tokens, stage.kv_tokens)
            for stage, tokens in zip(self._plan.stages, held, strict=True)
        )

    @property
    def limits(self) -> Limits:
        """How much of prompts to send at once: in as many groups as there are stages in a row.

        With fewer groups some stages would wait; within a group the stages batch as they like.
        """
        rows = ceil(len(self._flights) / self._depth)
        return Limits(min(self._step_limits.decodes, max(1, rows)), self._step_limits.tokens)

    def edge_tokens(self) -> tuple[EdgeTokens, ...]:
        """Return the tokens sent over each edge, in the plan's order."""
        count = {(edge.source, edge.target): 0 for edge in self._plan.edges}
        for route, tokens in enumerate(self._tokens_by_route):
            for pair in route_edges(self._plan, route):
                count[pair] = count.get(pair, 0) + tokens
        return tuple(EdgeTokens(*pair, tokens) for pair, tokens in count.items())

    def route_tokens(self) -> tuple[RouteTokens, ...]:
        """Return the tokens sent into each route, in the plan's order."""
        return tuple(RouteTokens(*pair) for pair in enumerate(self._tokens_by_route))

    def _advance(self, flight_id: int, token: int) -> TokenEvent:
        """Return a request's new token, which waits to be sent in unless it is the last."""
        flight = self._flights[flight_id]
        flight.produced += 1
        flight.last_token = token
        reason = _finish_reason(flight, token)
        flight.is_over = reason is not None
        if not flight.is_over:
            self._decodes[flight.route].wait(flight_id)
        return TokenEvent(flight_id, token, flight.is_over, reason)

    def _take_decodes(self, routes: Iterable[int]) -> list[list[EntryRow]]:
        """Return the micro-batches that routes take now."""
        taken = [batch for route in routes for batch in self._decodes[route].take()]
        return [[self._decode_row(flight_id) for flight_id in batch] for batch in taken]

    def _decode_row(self, flight_id: int) -> EntryRow:
        flight = self._flights[flight_id]
        position = len(flight.request.prompt_ids) + flight.produced - 1
        return self._entry_row(flight_id, position, (flight.last_token,))

    def _entry_row(self, flight_id: int, position: int, token_ids: tuple[int, ...]) -> EntryRow:
        flight = self._flights[flight_id]
        request = flight.request
        self._tokens_by_route[flight.route] += len(token_ids)
        row = Row(
            request=flight_id,
            route=flight.route,
            position=position,
            tokens=len(token_ids),
            context_tokens=request.context_tokens,
            sampling=request.sampling,
            samples=position + len(token_ids) >= len(request.prompt_ids),
            decodes=position >= len(request.prompt_ids),
        )
        return EntryRow(self._first_stage(flight), row, token_ids)

    def _close_row(self, flight_id: int) -> EntryRow:
        """Return what ends a request; its room is free once this has passed the whole route."""
        flight = self._flights[flight_id]
        row = Row(
            request=flight_id,
            route=flight.route,
            position=0,
            tokens=0,
            context_tokens=flight.request.context_tokens,
            sampling=flight.request.sampling,
            closes=True,
        )
        return EntryRow(self._first_stage(flight), row, ())

    def _land(self, flight_id: int) -> None:
        flight = self._flights.pop(flight_id)
        self._router.give_back(flight.route, flight.request.context_tokens)

    def _first_stage(self, flight: _Flight) -> str:
        return self._plan.routes[flight.route].hops[0].stage


def _by_stage(closes: list[EntryRow], batches: list[list[EntryRow]]) -> list[list[EntryRow]]:
    """Let rows that end requests go with the first batch for their stage, or by themselves."""
    first: dict[str, list[EntryRow]] = {}
    for batch in batches:
        first.setdefault(batch[0].stage, batch)
    for row in closes:
        if row.stage not in first:
            first[row.stage] = []
            batches.append(first[row.stage])
        first[row.stage].append(row)
    return batches


def _finish_reason(flight: _Flight, token: int) -> FinishReason | None:
    if token in flight.request.stop_ids:
        return "stop"
    return "length" if flight.produced == flight.request.max_tokens else None
