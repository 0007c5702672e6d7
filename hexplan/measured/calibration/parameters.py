"""How much must be observed before a calibration believes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Parameters:
    """The figures that a calibration decides by.

    All of them are conventions; none was fitted. They err on the side of leaving the plan's
    figures as they are.
    """

    warmup_steps: int = 2
    """The first steps of each stage in each launch that are left out."""
    min_steps: int = 8
    """With fewer steps of a phase, its factor stays as it is."""
    sure_steps: int = 30
    """With fewer steps of a phase, its factor is in doubt."""
    least_error: float = 0.05
    """The least error that a correction claims."""
    doubted_error: float = 0.25
    """The least error that a correction in doubt claims."""
    step_gain: float = 0.1
    """A time per step must lower the mean error by this share to be believed."""
    warmup_messages: int = 2
    """The first messages of each edge in a file that are left out."""
    min_messages: int = 30
    """With fewer messages, a link is not measured."""
    most_spread: float = 1.0
    """If the middle half of the messages spreads further, something other than the link is slow."""
    off_factor: float = 1.5
    """A link is off if its messages take this many times longer or shorter than predicted..."""
    off_s: float = 1e-4
    """...and the difference is at least this: less is the software of both ends."""
    bandwidth_gain: float = 0.1
    """A bandwidth must lower the mean error by this share to be believed."""


PARAMETERS: Final = Parameters()
"""The parameters of `calibrate`."""
