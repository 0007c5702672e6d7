"""What a command asks a running launch, and what that answers: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel


class Ask(FrozenModel):
    """A question or an order."""

    ask: Literal["status", "logs", "stop", "drain"]
    """How is it; what have ranks and agents written; end once requests are over, or after the
    usual time at most; or refuse new requests, and end once those under way are over."""
    of: str | None = None
    """For logs: the host or stage; all if null."""


class StageStatus(FrozenModel):
    """A stage of a running launch."""

    stage: str
    host: str
    kv_tokens: Annotated[int, Field(ge=0)]
    """Tokens of KV cache that requests hold."""
    kv_room: Annotated[int, Field(ge=0)]
    """Tokens of KV cache that it has room for."""
    generation: Annotated[int, Field(ge=0)] = 0
    """How often it was lost and started again."""
    tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens that were sent to it so far."""
    planned_tokens_per_s: float = 0.0
    """What the plan predicts to pass it."""


class RouteStatus(FrozenModel):
    """A route of a running launch."""

    stages: tuple[str, ...]
    """Its hops, in their order."""
    weight: float
    """The share of requests that the plan gives it."""
    requests: Annotated[int, Field(ge=0)]
    """Requests that it got so far."""
    tokens: Annotated[int, Field(ge=0)]
    """Tokens that were sent into it so far."""


class Status(FrozenModel):
    """How a launch is."""

    pid: int
    """Process id of its coordinator."""
    url: str
    """Where it answers requests."""
    state: Literal["ready", "not ready", "draining"]
    """Whether a token comes through every route."""
    obstacles: tuple[str, ...]
    """Why it is not ready."""
    running: int
    """Requests that hold room."""
    waiting: int
    """Requests that wait for room."""
    stages: tuple[StageStatus, ...]
    routes: tuple[RouteStatus, ...] = ()
    """In the plan's order."""
    at_s: float = 0.0
    """When this was, by the launch's monotonic clock."""


class Words(FrozenModel):
    """What a process of a launch wrote last."""

    name: str
    """The rank or agent."""
    lines: tuple[str, ...]


class Answer(FrozenModel):
    """What the launch says."""

    status: Status | None = None
    logs: tuple[Words, ...] = ()
    problem: str | None = None
    """Why it does not do what it was asked."""
