"""Constants of the latency objective that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LatencyParams:
    """How the rate is split over the routes, and how the candidates share the time.

    The values were set by hand, with the example specs in view; none was fitted.
    """

    first_share: float = 0.4
    """Share of the time for the plan of largest flow; the other candidates share the rest."""
    pieces: int = 32
    """Pieces into which a stage's convex time is cut, so that the split is an LP."""
    fullest: float = 0.999
    """No stage is filled beyond this utilisation, since its time is infinite at 1."""
    slack: float = 1e-5
    """Share of every capacity that stays free, above the LP's tolerance of 1e-7, so that the plan
    never exceeds one."""


LATENCY_PARAMS = LatencyParams()
