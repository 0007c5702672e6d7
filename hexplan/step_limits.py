"""How stages run a plan: the most that a step may hold, and the techniques that are used."""

from __future__ import annotations

from typing import Literal

from hexplan.field_types import Positive
from hexplan.frozen_model import FrozenModel


class StepLimits(FrozenModel):
    """The most that one step of a stage may hold of the requests that wait there."""

    tokens: Positive
    """Tokens: decodes first, then chunks of prompts, which get a quarter at least."""
    decodes: Positive
    """Requests that are decoded, one token each; smaller steps keep more stages busy at once."""


QueueName = Literal["fcfs", "mlfq", "fair", "srpt"]
"""Which of the requests that a launch has taken run next.

First come, first served; by how much they have been served, with prompts counted in advance (skip-
join multi-level feedback queue); by how much their clients have been served; or the one with the
least left to do.
"""


class Techniques(FrozenModel):
    """Published techniques that a launch is to use."""

    queue: QueueName = "fcfs"
    """Which requests run next where not all of them can."""

    def is_none(self) -> bool:
        """Say whether nothing is asked for; a cluster's JSON and hash then do not change."""
        return self == Techniques()
