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
    chain_steps: int = 2000
    """Sets of stages that the search for one chain looks at: it ends far earlier where a few
    stages hold the model."""
    chains: int = 4
    """Chains that one search finds; they differ by less than its costs are exact."""
    permuted: int = 4
    """Stages of a chain, or else hosts, or else sites, that are tried in every order."""
    loads: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    """What each stage of a chain must pass at least, as a share of the rate asked: with 0.25, four
    chains share the rate; with 2, a stage is half full."""
    most_chains: int = 32
    """Chains side by side, each from what the ones before have left, and stages of each range of
    layers in a uniform placement that are tried in any case, fewer where pipelines are long."""
    spare: int = 4
    """Uniform pipelines that are kept for each one that the rate needs, if there are many."""
    quick_share: float = 0.1
    """Share of the time left for the quick published methods."""
    grids: int = 3
    """Uniform grids of each type that are tried side by side with those of the other types."""
    pieces: int = 32
    """Pieces into which a stage's convex time is cut, so that the split is an LP."""
    fullest: float = 0.999
    """No stage is filled beyond this utilisation, since its time is infinite at 1."""
    slack: float = 1e-5
    """Share of every capacity that stays free, above the LP's tolerance of 1e-7, so that the plan
    never exceeds one."""


LATENCY_PARAMS = LatencyParams()
