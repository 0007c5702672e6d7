"""Constants of the schedule that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScheduleParams:
    """How micro-batches are counted, and how long a stage waits for its tokens.

    The values were chosen by hand; the simulator and the runtime use the same.
    """

    near: float = 0.02
    """Share of the shortest round by which fewer micro-batches may be slower. Steps that are saved
    leave room for prompts and other routes, and no step time is known more precisely."""
    hold: float = 0.5
    """Share of its last step for which a stage waits at most. Where tokens are away for longer, two
    halves in turn lose no more than the wait. Most waits end long before."""


SCHEDULE_PARAMS = ScheduleParams()
