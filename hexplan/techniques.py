"""Techniques: what a launch may do besides running every request in the order of arrival."""

from __future__ import annotations

from typing import Literal

from hexplan.frozen_model import FrozenModel

Phases = Literal["any", "together"]
"""Whether prefill and decode of a request may be on different stages, or are on the same ones."""
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
