"""Step limits: how much each stage of a plan puts through its layers at once."""

from __future__ import annotations

from typing import Final

from hexplan.noun import Noun, Positive

MAX_BATCH: Final = 256
"""Requests that a stage decodes at once, at most, and whose logits a last stage then holds."""
PROMPT_DIVISOR: Final = 4
"""Of the tokens of a step, one in so many is kept for prompts, so that decodes never starve them.
Chosen by trial on the example specs."""


class StepLimits(Noun):
    """What one step of a stage may hold, of the requests that wait there."""

    tokens: Positive
    """Tokens: decodes first, then parts of prompts, to which a fourth belongs at least."""
    decodes: Positive
    """Requests that are decoded, one token each; smaller steps keep more stages busy at once."""
