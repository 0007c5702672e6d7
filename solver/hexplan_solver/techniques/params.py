"""Constants of judging techniques that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class JudgeParams:
    """How plans with and without a technique are compared in the simulator."""

    seeds: tuple[int, ...] = (1, 2, 3, 4)
    """One pair of runs each, with the same arrivals and lengths."""
    error_factor: float = 3.18
    """Standard errors of the mean that a gain must exceed: 95 % of Student's t for four pairs."""
    margin: float = 0.02
    """What a gain must exceed besides. The simulator errs alike in both runs of a pair, but not
    equally."""
    requests: int = 300
    """Requests that arrive in a run, about."""
    warmup: float = 0.2
    """Share of a run that is left out at its start."""
    load: float = 0.8
    """Share of what the plan serves that arrives, where the workload states no rate."""


@dataclass(frozen=True, slots=True)
class OffloadParams:
    """How much of host memory stages use."""

    shares: tuple[Fraction, ...] = tuple(Fraction(1, 2**n) for n in range(4))
    """Shares of the room that it adds, of which the first counts that keeps latencies."""


OFFLOAD_PARAMS = OffloadParams()
JUDGE_PARAMS = JudgeParams()
