"""Techniques: what a launch may do besides running every request in the order of arrival."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Exact
from hexplan.frozen_model import FrozenModel

Phases = Literal["any", "together"]
"""Whether prefill and decode of a request may be on different stages, or are on the same ones."""
QueueName = Literal["fcfs", "mlfq", "fair", "srpt"]
"""Which of the requests that a launch has taken run next.

First come, first served; by how much they have been served, with prompts counted in advance (skip-
join multi-level feedback queue); by how much their clients have been served; or the one with the
least left to do.
"""


Switch = Literal["off", "on", "auto"]
"""Whether a technique is used: never, wherever it can be, or where a simulation shows a gain."""


class Interleave(FrozenModel):
    """How a tensor-parallel stage computes one part of a step while it adds up the other."""

    from_tokens: Annotated[int, Field(ge=2)]
    """Tokens of the smallest step that is cut in two."""
    piece_tokens: Annotated[int, Field(ge=1)]
    """Tokens of the smallest piece in which a sum is begun before the rest is computed."""
    slowdown: Annotated[Exact, Field(ge=1)]
    """How many times as long computing and adding up take, while both go on."""


class Techniques(FrozenModel):
    """Published techniques that a launch is to use."""

    queue: QueueName = "fcfs"
    """Which requests run next where not all of them can."""
    interleave: Annotated[Switch, Field(exclude_if=lambda switch: switch == "off")] = "off"
    """Whether tensor-parallel stages interleave the halves of large steps."""

    def is_none(self) -> bool:
        """Say whether nothing is asked for; a cluster's JSON and hash then do not change."""
        return self == Techniques()
