"""Streams: the tokens of requests, for callers that may block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import SimpleQueue
from typing import Self

from hexplan_runtime.engine.outcomes import Deliver, Failed, Ticket
from hexplan_runtime.request import Request, TokenEvent


class Buffer:
    """Tokens of one request between the engine and a reader."""

    def __init__(self, max_unread: int) -> None:
        self._max_unread = max_unread
        self.events: SimpleQueue[TokenEvent | Failed] = SimpleQueue()
        self.ticket: Ticket | None = None
        """Set as soon as the engine has taken the request."""

    def put(self, event: TokenEvent | Failed) -> None:
        """Take an event in the engine's thread; cancel the request if too many are unread."""
        self.events.put(event)
        goes_on = isinstance(event, TokenEvent) and not event.is_last
        if goes_on and self.events.qsize() > self._max_unread and self.ticket is not None:
            self.ticket.cancel(f"{self._max_unread} tokens waited for its reader")


class TokenStream:
    """The tokens of one request.

    A reader that closes or drops it early cancels the request.

    Raises
    ------
    LaunchError
        A rank failed.
    Cancelled
        The request was cancelled, because too many tokens waited for the reader, for example.
    """

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._is_over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> TokenEvent:
        """Wait for the next token."""
        if self._is_over:
            raise StopIteration
        event = self._buffer.events.get()
        if isinstance(event, Failed):
            self._is_over = True
            raise event.error.with_traceback(None)
        self._is_over = event.is_last
        return event

    def close(self) -> None:
        """Cancel the request, if it is not over."""
        if not self._is_over and self._buffer.ticket is not None:
            self._buffer.ticket.cancel()

    def __del__(self) -> None:
        self.close()


def gather(
    submit: Callable[[Sequence[tuple[Request, Deliver]]], list[Ticket]],
    requests: Sequence[Request],
) -> Iterator[TokenEvent]:
    """Yield the tokens of several requests as they come, each with the index of its request.

    What waits for the reader is bounded by what the requests ask for. Dropping the iterator
    cancels what is not over.
    """
    events: SimpleQueue[tuple[int, TokenEvent | Failed]] = SimpleQueue()
    tickets: dict[int, Ticket] = {}

    def deliver_as(index: int) -> Deliver:
        return lambda event: events.put((index, event))

    try:
        asked = [(request, deliver_as(index)) for index, request in enumerate(requests)]
        tickets.update(enumerate(submit(asked)))
        while tickets:
            index, event = events.get()
            if isinstance(event, Failed):
                raise event.error.with_traceback(None)
            if event.is_last:
                del tickets[index]
            yield replace(event, request_index=index)
    finally:
        for ticket in tickets.values():
            ticket.cancel()
