"""The front: what every request passes: its id, the gate, the limit of its body, and the log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hexplan_runtime.serve.access import Gate
from hexplan_runtime.serve.problems import ApiError, TooLarge, respond

_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_STATE: Final = "hexplan"


@dataclass(slots=True)
class Visit:
    """One HTTP request, as the log tells it."""

    id: str
    client: str = ""
    """By which of several keys it came."""
    status: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cut: str | None = None
    """Why its answer ended early, if it did."""


Log = Callable[[str], None]


class Front:
    """Wraps the application; it is plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, gate: Gate, body_bytes: int, log: Log) -> None:
        self._app = app
        self._gate = gate
        self._body_bytes = body_bytes
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visit = Visit(_id_of(headers.get("x-request-id")))
        scope.setdefault("state", {})[_STATE] = visit
        begun_s = time.monotonic()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = visit.id
            await send(message)

        try:
            visit.client = self._gate.require(scope["path"], headers)
            bounded = self._bounded(receive, headers)
            await self._app(scope, bounded, send_with_id)
        except ApiError as problem:
            await respond(problem)(scope, receive, send_with_id)
        finally:
            self._log(_line(scope, visit, time.monotonic() - begun_s))

    def _bounded(self, receive: Receive, headers: Headers) -> Receive:
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > self._body_bytes:
            raise self._too_large()
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes:
                raise self._too_large()
            return message

        return receive_bounded

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._body_bytes} bytes", code="body_too_large")


def visit_of(scope: Scope) -> Visit:
    """Return what is told of a request that came through the front."""
    visit = scope["state"][_STATE]
    assert isinstance(visit, Visit)
    return visit


def _id_of(given: str | None) -> str:
    if given is not None and _GOOD_ID.fullmatch(given):
        return given
    return secrets.token_hex(16)


def _line(scope: Scope, visit: Visit, elapsed_s: float) -> str:
    """Return the line of the log: nothing in it was written by a client but names."""
    client = scope.get("client")
    words = [
        client[0] if client else "-",
        scope["method"],
        scope["path"][:200],
        str(visit.status or "left"),
        f"{elapsed_s:.3f}s",
        f"id={visit.id}",
    ]
    if visit.cut is not None:
        words.append(f"cut={visit.cut.replace(' ', '-')}")
    if visit.prompt_tokens is not None:
        words.append(f"prompt={visit.prompt_tokens}")
    if visit.completion_tokens is not None:
        words.append(f"tokens={visit.completion_tokens}")
    return " ".join(words)
