"""Event streams: answers that come as server-sent events, and end early if the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hexplan_runtime.serve.problems import ApiError, JsonObject

DONE: Final = b"data: [DONE]\n\n"
_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` makes an encoder for every call that asks for its own separators."""
Result = TypeVar("Result")


def event(data: JsonObject) -> bytes:
    """Return one server-sent event."""
    return b"data: " + _encode(data).encode() + b"\n\n"


class EventStream(StreamingResponse):
    """A stream of server-sent events.

    Parameters
    ----------
    events
        Yields whole events, several at once if there are.
    release
        Called at the end, however the stream ends.
    """

    def __init__(self, events: AsyncIterator[bytes], release: Callable[[], None]) -> None:
        super().__init__(_to_the_end(events), headers=_HEADERS, media_type="text/event-stream")
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


async def _to_the_end(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield events and the mark of the end; an error becomes an event, as the status is sent."""
    try:
        async for some in events:
            yield some
    except ApiError as problem:
        yield event(problem.body)
    yield DONE


async def unless_gone(receive: Receive, work: Awaitable[Result]) -> Result:
    """Wait for work, unless the client leaves.

    Raises
    ------
    ClientDisconnect
        The client has left, and the work was cancelled.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        watch.cancel()
        task.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
