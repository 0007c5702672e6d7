"""Outcomes: what the engine tells whoever asked for tokens, other than tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from hexplan.errors import HexplanError, LaunchError
from hexplan_runtime.engine.snapshot import EndReason
from hexplan_runtime.request import Request, TokenEvent


class Overloaded(HexplanError):
    """The engine takes no more requests now: too many wait, or it is about to end."""

    exit_code: ClassVar[int] = 7


class NoRoute(LaunchError):
    """Every route has a stage that is lost; it starts again, and a later request may run."""


class Cancelled(HexplanError):
    """A request was ended before its last token."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a request that gets no more tokens."""

    error: HexplanError
    """Why: `Cancelled`, or what failed."""


Deliver: TypeAlias = Callable[[TokenEvent | Failed], None]
"""Takes each token of a request, and its end; it is called in the engine's thread."""


class Ticket:
    """A request that the engine has taken."""

    def __init__(self, request_id: int, cancel: Callable[[int, str], None]) -> None:
        self.id = request_id
        """The number of the request, unique within a launch."""
        self.admitted_s: float | None = None
        """When the request first found room, by the monotonic clock; None while it waits."""
        self._cancel = cancel

    def cancel(self, reason: str = "its reader is gone") -> None:
        """End the request and free its room, from any thread; one that is over is left alone."""
        self._cancel(self.id, reason)


@dataclass(frozen=True, slots=True)
class Client:
    """A request and who asked for it."""

    request: Request
    deliver: Deliver
    ticket: Ticket


def end_reason(last: TokenEvent | Failed) -> EndReason:
    """Return why a request ended with this."""
    if isinstance(last, TokenEvent):
        assert last.finish_reason is not None
        return last.finish_reason
    return "cancelled" if isinstance(last.error, Cancelled) else "failed"
