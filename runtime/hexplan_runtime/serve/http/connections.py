"""Connections: how many there may be, and how long they may say or read nothing.

uvicorn bounds neither, so that clients that only connect could use up all descriptors.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from hexplan_runtime.serve.problems import ApiError, TooMany
from hexplan_runtime.serve.settings import Limits

_REFUSED_S: Final = 5.0
"""How long a client that is refused may take to send its request and to read the answer."""
_MOST_HEAD_BYTES: Final = 2**16
Make = Callable[..., asyncio.Protocol]


def bounded(limits: Limits) -> Make:
    """Return what makes uvicorn's own protocol for a connection, within the limits."""

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        if len(server_state.connections) >= limits.connections:
            message = f"{limits.connections} connections are open already"
            return RefusedConnection(TooMany(message, code="too_many_connections"))
        inner = AutoHTTPProtocol(  # type: ignore[call-arg]
            config=config, server_state=server_state, app_state=app_state, _loop=_loop
        )
        return BoundedConnection(inner, limits)

    return make


class BoundedConnection(asyncio.Protocol):
    """Passes all on to uvicorn's protocol, and closes a connection that nothing comes of.

    Parameters
    ----------
    inner
        Has a `cycle` while a request is answered, as both of uvicorn's protocols do.
    """

    def __init__(self, inner: Any, limits: Limits) -> None:
        self._inner = inner
        self._limits = limits
        self._transport: asyncio.BaseTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the head of a request."""
        self._transport = transport
        _give_up_unread(transport, self._limits.unread_s)
        self._inner.connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; they may complete the head of a request."""
        self._inner.data_received(data)
        if not self._is_between():
            self._stop_waiting()
        elif self._deadline is None:
            self._wait_for_head()

    def eof_received(self) -> bool | None:
        """Pass the end of a client's bytes on."""
        end: bool | None = self._inner.eof_received()
        return end

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end of the connection on."""
        self._stop_waiting()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        self._inner.resume_writing()

    def _is_between(self) -> bool:
        cycle = self._inner.cycle
        return cycle is None or cycle.response_complete

    def _wait_for_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._limits.head_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._transport is not None and self._is_between():
            self._transport.close()


class RefusedConnection(asyncio.Protocol):
    """Answers the first request of a connection that is one too many."""

    def __init__(self, problem: ApiError) -> None:
        self._answer = _whole_answer(problem)
        self._head = b""
        self._transport: asyncio.WriteTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the request."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(_REFUSED_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer once the head is there; a body is left unread until the client has left."""
        if self._transport is None or not self._answer:
            return
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > _MOST_HEAD_BYTES:
            self._transport.write(self._answer)
            self._transport.write_eof()
            self._answer = self._head = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        if self._deadline is not None:
            self._deadline.cancel()


def _whole_answer(problem: ApiError) -> bytes:
    body = json.dumps(problem.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **problem.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status} Too Many Requests\r\n{lines}\r\n".encode() + body


def _give_up_unread(transport: asyncio.BaseTransport, unread_s: float) -> None:
    """Let the system end the connection once its client has read nothing for so long."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(1000 * unread_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
