"""How long to simulate, what to measure, and what breaks meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.workload import Workload
from hexplan_solver.simulate.traffic import Replay, Traffic


@dataclass(frozen=True, slots=True)
class Slo:
    """What a request is promised."""

    ttft_s: float
    """Time from its arrival to its first token; may be infinite."""
    tpot_s: float
    """Mean time between two of its tokens; may be infinite."""

    @staticmethod
    def of(workload: Workload) -> Slo | None:
        """Return what a workload promises; None if it has no SLO."""
        slo = workload.slo
        return None if slo is None else Slo(float(slo.ttft_s), float(slo.tpot_s))


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is simulated, and the part of it that is measured."""

    duration_s: float | None = 600.0
    """The whole time, warm-up included; None means until all requests are done."""
    warmup_s: float | None = None
    """Time left out at the start; None means that it is detected."""
    seed: int = 0
    """Of arrivals and lengths."""
    snapshots: int = 200
    """Points of the timeline, about."""
    slo: Slo | None = None
    """Promise against which requests are measured; none is measured if None."""
    has_slowdowns: bool = False
    """Whether requests are compared with how long they would have taken alone."""

    def __post_init__(self) -> None:
        if self.duration_s is not None and (self.warmup_s or 0.0) >= self.duration_s:
            message = f"warm-up {self.warmup_s} s must be shorter than all, {self.duration_s} s"
            raise ValueError(message)

    def snapshot_every_s(self, traffic: Traffic) -> float:
        """Return the time between two snapshots.

        Raises
        ------
        ValueError
            If neither the window nor the traffic ever ends.
        """
        if self.duration_s is not None:
            return self.duration_s / self.snapshots
        if not isinstance(traffic, Replay) or not traffic.requests:
            raise ValueError("traffic that does not end needs a duration")
        span_s = (traffic.requests[-1][0] - traffic.requests[0][0]) / traffic.speedup
        return max(span_s, 1.0) / self.snapshots


@dataclass(frozen=True, slots=True)
class Outage:
    """A stage that fails, and comes back with its weights and an empty KV cache."""

    stage: int
    """Position of the stage."""
    from_s: float
    until_s: float = float("inf")
