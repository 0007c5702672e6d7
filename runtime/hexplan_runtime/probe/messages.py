"""What a probe and its agents say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel
from hexplan.measured.findings import Inventory

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class AgentTask(FrozenModel):
    """What an agent gets on its stdin when it starts."""

    address: str
    """Where the other hosts reach this one, and the only address where it listens."""
    may_be_public: bool
    """Whether that may be a public address."""
    store_address: str
    """The IP address where the agents meet."""
    store_port: int
    """Port of the store there."""
    nonce: str
    """A secret, without which no agent is found in the store."""
    limit_s: Annotated[float, Field(gt=0)]
    """How long reaching the store may take."""


class PairOrder(FrozenModel):
    """Two agents, and what they measure together."""

    meeting: str
    """Name of the pair's group."""
    rank: Literal[0, 1]
    """Rank in it: 0 leads, and takes the times."""
    peer: str
    """Name of the host at the other end."""
    is_forward: bool
    """Whether to measure the bandwidth from rank 0 to rank 1."""
    is_backward: bool
    """Whether to measure that from rank 1 to rank 0."""
    limit_s: Annotated[float, Field(gt=0)]
    """How long everything may take."""


class Figures(FrozenModel):
    """What the leader of a pair measured."""

    round_trips_s: Annotated[tuple[Seconds, ...], Field(min_length=2)]
    """Seconds of each round trip of a tiny message."""
    forward_bytes_per_s: Rate | None = None
    """From rank 0 to rank 1."""
    backward_bytes_per_s: Rate | None = None
    """From rank 1 to rank 0."""


class AgentAnswer(FrozenModel):
    """What an agent says: first about its machine, then an answer to each order."""

    machine: Inventory | None = None
    """What the machine is, in the first answer."""
    figures: Figures | None = None
    """What was measured, in the answer of a leader."""
    problem: str | None = None
    """Why something could not be done, if so."""
