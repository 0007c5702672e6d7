"""Step limits: the most that each stage of a plan puts through its layers at once."""

from __future__ import annotations

from hexplan.field_types import Positive
from hexplan.frozen_model import FrozenModel


class StepLimits(FrozenModel):
    """The most that one step of a stage may hold of the requests that wait there."""

    tokens: Positive
    """Tokens: decodes first, then chunks of prompts, which get a quarter at least."""
    decodes: Positive
    """Requests that are decoded, one token each; smaller steps keep more stages busy at once."""
