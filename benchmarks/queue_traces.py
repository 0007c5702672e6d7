"""Traces with bursts and heavy tails, by which queues are compared."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hexplan_solver.simulate.traffic import Arrival

LEAST_GAP_S = 1e-6
"""Requests are told apart by their arrival."""


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lengths whose logarithms are normal, cut off at both ends."""

    mean: float
    deviation: float
    least: int
    most: int

    def draw(self, rng: random.Random) -> int:
        """Draw one."""
        return min(self.most, max(self.least, int(rng.lognormvariate(self.mean, self.deviation))))


@dataclass(frozen=True, slots=True)
class Shape:
    """How long requests are, and how unevenly they come."""

    prompt: Lognormal
    output: Lognormal
    variation: float = 3.0
    """Coefficient of variation of the times between arrivals: 1 is random, more is bursty."""

    def trace(self, requests: int, seed: int = 0) -> tuple[Arrival, ...]:
        """Return requests that come once a second in the mean."""
        rng = random.Random(seed)  # noqa: S311
        order = 1 / self.variation**2
        now_s, found = 0.0, list[Arrival]()
        for _ in range(requests):
            now_s += max(LEAST_GAP_S, rng.gammavariate(order, 1 / order))
            found.append((now_s, self.prompt.draw(rng), self.output.draw(rng)))
        return tuple(found)


def at_rate(trace: tuple[Arrival, ...], requests_per_s: float) -> tuple[Arrival, ...]:
    """Return a trace of one request a second at another rate."""
    return tuple((at_s / requests_per_s, prompt, output) for at_s, prompt, output in trace)
