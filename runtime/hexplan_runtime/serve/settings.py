"""Settings: how a plan is served, and the limits of a request."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.schedule.queueing.params import Queueing
from hexplan_runtime.serve.access import Access


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for, and how many may be under way."""

    body_bytes: int = 16 * 2**20
    body_s: float = 30.0
    """How long a body may take to arrive."""
    choices: int = 128
    """Prompts of one request, times `n`."""
    stops: int = 16
    """Stop strings of one request."""
    output_tokens: int | None = None
    """The largest `max_tokens`; as much as the model and the plan have room for if None."""
    waiting: int = 256
    """Requests that may wait for room; further ones are refused."""
    unread_tokens: int = 4096
    """Tokens that may wait for a client that reads slowly; then its request is cancelled."""
    unread_s: float = 60.0
    """How long a client may read nothing of what waits for it; then its connection ends."""
    connections: int = 2048
    """Connections at once; requests on further ones are refused."""
    head_s: float = 30.0
    """How long a connection may be open before it brings the head of a request."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How a plan is served."""

    model_name: str
    """What clients call the model."""
    limits: Limits = Limits()
    access: Access = Access()
    chat_template: str | None = None
    """Replaces the chat template of the model folder."""
    has_vllm_metrics: bool = False
    """Whether /metrics also has vLLM's names."""
    restarts: int = 7
    """Starts of one stage in a row that may fail before nobody tries more; with 0, whatever dies
    ends the server."""
    queue: Queueing | None = None
    """Which requests run next where not all of them can; what the plan says if None."""
    spares: int = 0
    """Ranks that wait on each machine with their libraries read, so that a start takes less."""
    step_limit_s: float = 300.0
    """How long a step of a stage may take before the stage counts as lost."""
    reweighs: bool = True
    """Whether routes that have become slow get fewer requests."""
    heals: bool = False
    """Whether what is left is planned anew when a stage stays lost."""
