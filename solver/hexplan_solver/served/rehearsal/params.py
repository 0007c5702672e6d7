"""Constants of the rehearsal that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RehearsalParams:
    """How long a rehearsal is; none of these was fitted to the simulator.

    A turn is as many decoded tokens as there are requests in flight.
    """

    block_turns: int = 5
    """Turns after which it is looked at whether prompts gather, until..."""
    calm_blocks: int = 4
    """...little has changed over so many of them, or..."""
    most_blocks: int = 40
    """...it was looked so often."""
    gathering: float = 0.01
    """Share of the requests in flight that is little."""
    doubt: float = 3.0
    """Standard deviations by which prompts must have gathered before requests are cut short."""
    measured_turns: int = 40
    """Least turns that are measured."""
    measured_requests: int = 200
    """Least requests that end meanwhile."""
    most_steps: int = 60_000
    """Steps of stages after which a rehearsal ends in any case, a third of them unmeasured."""
    exact_decodes: int = 64
    """Micro-batches of a route are counted anew for each number of decodes up to this one; above,
    for numbers that differ by this part."""


REHEARSAL_PARAMS = RehearsalParams()
