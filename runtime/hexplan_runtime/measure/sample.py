"""A point of the grid, and the times measured there."""

from __future__ import annotations

from statistics import median, quantiles
from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel

Phase = Literal["prefill", "decode", "head", "step", "alone", "sums", "both", "fetch"]
COMPUTED: tuple[Phase, ...] = ("prefill", "decode", "head")
"""Those that take the most of a step's time."""
OVERLAP: tuple[Phase, ...] = ("alone", "sums", "both")
"""Those that tell how computing and summing up slow each other down."""
Count = Annotated[int, Field(gt=0)]


class Point(FrozenModel):
    """One kind of step of one layer."""

    tp: Count
    """Devices in the group."""
    phase: Phase
    """Whether the step runs a prompt, or the next token of running requests; or the output head; or
    what a step of decodes has besides its layers; or what a prompt computes without the team's
    sums, or these sums, or both at once; or what is fetched from host memory."""
    tokens: Count
    """Tokens of the prompt; or requests that decode, a token each; or rows that are sampled; or
    tokens whose keys and values of a layer are fetched."""
    context: Count
    """Positions that the last token of each request sees, including itself."""


class Sample(FrozenModel):
    """The times that a point took."""

    point: Point
    """What was run."""
    times_s: Annotated[
        tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(min_length=1)
    ]
    """Seconds of each run, in order, without the warm-up."""

    @property
    def median_s(self) -> float:
        """Return the middle of the times, in seconds."""
        return median(self.times_s)

    @property
    def spread(self) -> float:
        """Return the range of the middle half of the times, as a share of their median."""
        if len(self.times_s) == 1:
            return 0.0
        low, _, high = quantiles(self.times_s, n=4, method="inclusive")
        return (high - low) / self.median_s
