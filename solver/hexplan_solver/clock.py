"""The clocks that a search looks at; a test puts clocks that count in their place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """What says how much time has passed."""

    wall_s: Callable[[], float] = time.monotonic
    """Seconds on the wall: time limits are in these."""
    work_s: Callable[[], float] = time.process_time
    """Seconds that the machine has worked for this process."""


CLOCK = Clock()
"""The clocks of this machine."""
