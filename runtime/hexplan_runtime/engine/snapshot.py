"""Snapshots: what the engine holds and has done, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hexplan.constants import WEIGHT_DIGITS
from hexplan_runtime.request import FinishReason
from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic

EndReason: TypeAlias = FinishReason | Literal["cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class EdgeTokens:
    """Tokens seen on one edge of the plan so far."""

    source: str
    target: str
    tokens: int


@dataclass(frozen=True, slots=True)
class RouteTokens:
    """Tokens and requests sent into one route of the plan so far."""

    route: int
    """Index into the plan's routes."""
    tokens: int
    requests: int
    """Each counted once, on the route that it took first."""


@dataclass(frozen=True, slots=True)
class StageKv:
    """KV cache of one stage, in tokens of context."""

    stage: str
    held_tokens: int
    """Of requests that run."""
    total_tokens: int
    kept_tokens: int = 0
    """Of requests that are over, for others to begin with; they go as soon as room is needed."""
    hit_tokens: int = 0
    """Tokens of prompts so far that the stage had already."""
    swapped_tokens: int = 0
    """Tokens in host memory, of requests that made way."""


@dataclass(frozen=True, slots=True)
class EndCount:
    """Requests that ended for one reason so far."""

    reason: EndReason
    requests: int


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """What the engine holds and has done."""

    running: int
    """Requests that hold room on a route."""
    waiting: int
    """Requests that wait for room."""
    preemptions: int
    """How often a request had to make way for older ones, and started over."""
    kv: tuple[StageKv, ...]
    """In the plan's order, as are edges and routes."""
    ends: tuple[EndCount, ...]
    edges: tuple[EdgeTokens, ...]
    routes: tuple[RouteTokens, ...]
    on_routes: tuple[int, ...] = ()
    """Requests on each route, or that have left something under way there."""
    weights: tuple[int, ...] = ()
    """What the router gives each route now: the plan's weights unless one has become slow."""
    masked: tuple[int, ...] = ()
    """Routes that no request may take for now: a stage of theirs is lost, or not proved yet."""
    proved: tuple[int, ...] = ()
    """Routes that a token has gone through after they had been masked."""
    weighings: int = 0
    """How often the routes got other weights."""
    down: tuple[int, ...] = ()
    """Stages that do not run, and start again."""
    gone: tuple[int, ...] = ()
    """Stages that nobody starts again."""
    generations: tuple[int, ...] = ()
    """How often each stage was lost so far, in the plan's order."""
    replays: int = 0
    """How often a request had to start over because of a lost stage."""
    swaps: int = 0
    """How often the KV of a request went to host memory, so that others could run."""
    swapped: int = 0
    """Requests whose KV is there."""
    host: tuple[HostTraffic, ...] = ()
    """What stages with keys and values in host memory have moved, as they last told."""

    def weight_now(self, route: int) -> float:
        """Return the share of requests that the router gives a route now."""
        return self.weights[route] / 10**WEIGHT_DIGITS
