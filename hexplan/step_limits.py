"""Step limits: how much each stage of a plan puts through its layers at once."""

from __future__ import annotations

from hexplan.field_types import Positive
from hexplan.frozen_model import FrozenModel


class StepLimits(FrozenModel):
    """What one step of a stage may hold, of the requests that wait there."""

    tokens: Positive
    """Tokens: decodes first, then parts of prompts, to which a fourth belongs at least."""
    decodes: Positive
    """Requests that are decoded, one token each; smaller steps keep more stages busy at once."""
