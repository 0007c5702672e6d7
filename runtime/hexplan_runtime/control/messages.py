"""What a command asks a running launch, and what that answers: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Range
from hexplan.frozen_model import FrozenModel


class Ask(FrozenModel):
    """A question or an order."""

    ask: Literal["status", "logs", "stop", "drain", "apply", "applying"]
    """How is it; what have ranks and agents written; end once requests are over, or after the
    usual time at most; refuse new requests, and end once those under way are over; apply another
    plan; or how far that is."""
    of: str | None = None
    """For logs: the host or stage; all if null."""
    plan: str | None = None
    """For apply: the text of the plan."""
    is_dry: bool = False
    """For apply: only say what it would do."""
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    """For apply: how long requests may take to leave routes that end."""


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
    weight_now: float = 0.0
    """The share that the router gives it now: another one if a route has become slow."""
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
    notice: str | None = None
    """What becomes of the plan: another one is being applied, or what is left was planned anew."""
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


class StagePart(FrozenModel):
    """A stage that starts or ends as a plan is applied."""

    stage: str
    host: str
    devices: tuple[int, ...]
    layers: Range
    bytes: int
    """Weights on all its devices."""


class PlanChanges(FrozenModel):
    """What applying a plan does."""

    kept: tuple[str, ...]
    """Stages of the plan that runs which go on as they are."""
    starts: tuple[StagePart, ...]
    """Stages of the new plan that start."""
    ends: tuple[StagePart, ...]
    """Stages of the plan that runs which end."""
    ends_first: tuple[str, ...]
    """Those of them that end before others start, as these need their memory."""
    routes_added: int
    routes_removed: int
    longest_tokens: tuple[int, int]
    """The longest context that some route holds, by the plan that runs and by the new one."""
    is_shut: bool
    """Whether no route is left in between, so that requests wait."""
    is_new: bool
    """Whether anything changes at all."""
    estimate_s: float
    """How long stages may take to start: as long as the launch did, more if they are larger."""


class Applying(FrozenModel):
    """How far a plan is applied."""

    steps: tuple[str, ...]
    is_over: bool
    problem: str | None
    """Why it was not applied."""
    hint: str | None


class Answer(FrozenModel):
    """What the launch says."""

    status: Status | None = None
    logs: tuple[Words, ...] = ()
    problem: str | None = None
    """Why it does not do what it was asked."""
    hint: str | None = None
    """What helps, if there is a problem."""
    is_users: bool = False
    """Whether who asked is to blame for the problem."""
    changes: PlanChanges | None = None
    applying: Applying | None = None
