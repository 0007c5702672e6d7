"""Clocks that count how often they are looked at, so that tests know what time it is."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.clock import Clock


@dataclass(slots=True)
class Counter:
    """Seconds that pass only where somebody looks at them, or where a test lets them."""

    step_s: float = 0.0
    """What passes at each look."""
    now_s: float = 0.0

    def look(self) -> float:
        """Return the time, and let a step pass."""
        self.now_s += self.step_s
        return self.now_s


def counting_clock(step_s: float) -> Clock:
    """Return a clock on which so many seconds pass at each look, all of them at work."""
    counter = Counter(step_s)
    return Clock(counter.look, counter.look)
