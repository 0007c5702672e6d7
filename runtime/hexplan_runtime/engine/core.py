"""The engine's thread: it takes requests from any thread, and waits for no reader of tokens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from threading import Condition, RLock, Thread
from typing import Final

from hexplan.errors import HexplanError, LaunchError
from hexplan_runtime.batch import Batch
from hexplan_runtime.engine.changes import Change
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.healing import Healing
from hexplan_runtime.engine.links import Links
from hexplan_runtime.engine.looking import snapshot_of
from hexplan_runtime.engine.outcomes import (
    Cancelled,
    Client,
    Deliver,
    Failed,
    Overloaded,
    Ticket,
    end_reason,
)
from hexplan_runtime.engine.snapshot import EndReason, EngineSnapshot
from hexplan_runtime.engine.streaming import Buffer, TokenStream
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import Request, TokenEvent

MAX_WAITING: Final = 1024
"""Requests that may wait for room: more of them would wait for longer than clients do."""
STREAM_TOKENS: Final = 1024
"""Tokens that may wait for the reader of a stream."""
_NOT_RUNNING: Final = HexplanError(
    "the pipeline is not running", hint="use it in a `with` statement"
)


class EngineCore:
    """Runs requests in a thread of its own, from `start` to `close`.

    Every request that it takes hears of its end exactly once: by its last token, or by `Failed`.

    Parameters
    ----------
    max_waiting
        Requests that may wait for room, beyond which `submit` refuses.
    """

    def __init__(self, engine: Engine, links: Links, max_waiting: int = MAX_WAITING) -> None:
        self._engine = engine
        self._links = links
        self._max_waiting = max_waiting
        self._ids = count()
        self._state = RLock()
        """Held by whoever looks at the engine or changes it."""
        self._door = Condition()
        """Held for moments only, so that `submit` never waits for a step."""
        self._arrived: list[Client] = []
        self._cancels: dict[int, str] = {}
        self._num_open = self._num_waiting = 0
        self._refusal: HexplanError | None = _NOT_RUNNING
        self._is_closing = False
        self._clients: dict[int, Client] = {}
        self._ends: Counter[EndReason] = Counter()
        self._thread: Thread | None = None
        self.healing = Healing(self._engine, links, self._ask_itself)
        """What it does about stages that are lost."""

    def start(self) -> None:
        """Begin to run requests, once the stages are up."""
        with self._door:
            self._refusal = None
        self._thread = Thread(target=self._run, daemon=True, name="engine")
        self._thread.start()

    def require_running(self) -> None:
        """Raise what new requests are refused with, if they are."""
        with self._door:
            if self._refusal is not None:
                raise self._refusal.with_traceback(None)

    def check(self, request: Request, what: str = "the request") -> None:
        """Refuse a request that could never run, from any thread.

        Raises
        ------
        InputError
            It is wrong, or too long for every route.
        """
        self._engine.check(what, request)

    def submit(self, request: Request, deliver: Deliver) -> Ticket:
        """Take a request, from any thread.

        Parameters
        ----------
        deliver
            Takes its tokens, the last of which says so, or `Failed` as the end. It is called in
            the engine's thread, and must return at once.

        Raises
        ------
        InputError
            The request is wrong, or too long for every route.
        Overloaded
            Too many requests wait, or the engine is about to end.
        NoRoute
            Every route has a stage that is lost and starts again.
        LaunchError
            A rank has failed for good.
        """
        self.check(request)
        self.healing.require_route(request)
        return self._enter([(request, deliver)], self._max_waiting)[0]

    def submit_all(self, requests: Sequence[tuple[Request, Deliver]]) -> list[Ticket]:
        """Take requests that a caller has at hand anyway, however many wait already."""
        for index, (request, _) in enumerate(requests):
            self.check(request, f"request {index}")
        return self._enter(requests, None)

    def stream(self, request: Request, max_unread: int = STREAM_TOKENS) -> TokenStream:
        """Take a request, and return its tokens for a caller that may block.

        Parameters
        ----------
        max_unread
            Tokens that may wait for the reader. If there are more, the request is cancelled, so
            that it holds no room for nobody.
        """
        buffer = Buffer(max_unread)
        buffer.ticket = self.submit(request, buffer.put)
        return TokenStream(buffer)

    def drain(self, timeout_s: float | None = None) -> bool:
        """Refuse new requests, wait for those under way, and say whether all are over."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._door:
            self._refuse(Overloaded("the engine is about to end, and takes no more requests"))
            while self._num_open:
                left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
                if left_s == 0:
                    return False
                self._door.wait(left_s)
            return True

    def reuse_prefixes(self, *, is_wanted: bool) -> None:
        """Say whether requests may begin with what others left; measurements of prompts differ."""
        self._engine.reuses_prefixes = is_wanted

    def begin_to_close(self) -> None:
        """Refuse new requests, and let the thread end without a wait for it."""
        with self._door:
            self._refuse(_NOT_RUNNING)
            self._is_closing = True
        self._links.wake()

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread; requests under way hear that they failed."""
        self.begin_to_close()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def snapshot(self) -> EngineSnapshot:
        """Return what the engine holds and has done, from any thread."""
        with self._door:
            waiting = self._num_waiting + len(self._arrived)
        with self._state:
            return snapshot_of(self._engine, waiting, self._ends)

    def _enter(
        self, requests: Sequence[tuple[Request, Deliver]], limit: int | None
    ) -> list[Ticket]:
        clients = [Client(*one, Ticket(next(self._ids), self._cancel)) for one in requests]
        with self._door:
            self.require_running()
            num_waiting = self._num_waiting + len(self._arrived)
            if limit is not None and num_waiting + len(clients) > limit:
                message = f"{num_waiting} requests wait for room already"
                raise Overloaded(message, hint="try again later")
            self._arrived += clients
            self._num_open += len(clients)
        self._links.wake()
        return [client.ticket for client in clients]

    def _refuse(self, refusal: HexplanError) -> None:
        """Let later requests be refused; what has failed stays the reason."""
        if self._refusal is None or isinstance(self._refusal, Overloaded):
            self._refusal = refusal

    def _cancel(self, request_id: int, reason: str) -> None:
        with self._door:
            self._cancels.setdefault(request_id, reason)
        self._links.wake()

    def _run(self) -> None:
        try:
            while not self._is_closing:
                news = self._links.next_news()
                with self._state:
                    self._step(news)
            failure = HexplanError("the pipeline was closed before the request was over")
        except HexplanError as error:
            failure = error
        except Exception as error:  # a bug of ours must not leave callers waiting for ever
            failure = HexplanError(f"the engine failed: {type(error).__name__}: {error}")
        self._fail(failure)

    def _step(self, news: Batch | Change | None) -> None:
        """Send on what came back before anybody looks at it, then let in who waits."""
        with self._door:
            arrived, self._arrived = self._arrived, []
            cancels, self._cancels = self._cancels, {}
        for client in arrived:
            self._clients[client.ticket.id] = client
            self._engine.enqueue(client.ticket.id, client.request)
        mine = {key: reason for key, reason in cancels.items() if key in self._clients}
        if isinstance(news, Batch):
            turn = self._engine.receive(news)
            self._send(turn)
            for event in turn.events:
                self._deliver(event)
        elif news is not None:
            self._fail_these(
                self.healing.take(news), "its route is lost, and it may not start over"
            )
        self._fail_these(self.healing.look(), "no route has come back in time")
        if mine:
            self._send(self._engine.cancel(mine))
            for key in mine.keys() & self._clients.keys():
                self._end(key, Failed(Cancelled(f"the request was cancelled: {mine[key]}")))
        self._admit()
        with self._door:
            self._num_waiting = self._engine.waiting

    def _fail_these(self, tickets: Sequence[int], why: str) -> None:
        if tickets:
            self._send(self._engine.cancel(tickets))
            for key in tickets:
                self._end(key, Failed(LaunchError(why)))

    def _ask_itself(self, request: Request, deliver: Deliver) -> Ticket:
        """Take a request of the engine's own, which nobody may refuse; in the engine's thread."""
        ticket = Ticket(next(self._ids), self._cancel)
        self._clients[ticket.id] = Client(request, deliver, ticket)
        self._engine.enqueue(ticket.id, request)
        with self._door:
            self._num_open += 1
        return ticket

    def _admit(self) -> None:
        turn = self._engine.admit()
        now_s = time.monotonic()
        for key in turn.admitted:
            ticket = self._clients[key].ticket
            ticket.admitted_s = ticket.admitted_s or now_s
        self._send(turn)

    def _send(self, turn: Turn) -> None:
        for rows in turn.batches():
            self._links.send_together(rows)
        self._links.send(turn.prompts, self._engine.limits)

    def _deliver(self, event: TokenEvent) -> None:
        if event.is_last:
            self._end(event.request_index, event)
        else:
            self._tell(self._clients[event.request_index], event)

    def _tell(self, client: Client, event: TokenEvent | Failed) -> None:
        """Deliver an event; a reader that cannot take it harms nobody but itself."""
        try:
            client.deliver(event)
        except Exception as error:
            with self._door:
                self._cancels.setdefault(client.ticket.id, f"its reader failed: {error}")

    def _end(self, request_id: int, last: TokenEvent | Failed) -> None:
        client = self._clients.pop(request_id)
        self._ends[end_reason(last)] += 1
        self._tell(client, last)
        with self._door:
            self._num_open -= 1
            self._door.notify_all()

    def _fail(self, failure: HexplanError) -> None:
        with self._state:
            with self._door:
                self._refuse(failure)
                self._clients.update((client.ticket.id, client) for client in self._arrived)
                self._arrived.clear()
                self._num_waiting = 0
            for request_id in list(self._clients):
                self._end(request_id, Failed(failure))
