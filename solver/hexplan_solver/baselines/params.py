"""Constants of the published methods, with where each value comes from.

docs/baselines.md describes the methods.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HelixParams:
    """How Helix's MILP is pruned (Mei et al., ASPLOS 2025, and its artifact)."""

    kept_links: int = 12
    """A pruned machine keeps this many of its fastest links, and so do entry and exit: `min_keep`
    and `max_keep` of the artifact."""
    pruned_above: int = 24
    """With up to this many machines no link is pruned, as in the artifact's runs on 24 machines of
    one site."""


@dataclass(frozen=True, slots=True)
class HexgenParams:
    """HexGen's search (Jiang et al., ICML 2024, and its repository)."""

    population: int = 30
    """Individuals that survive a generation. Smaller than in HexGen's repository, to save time."""
    children: int = 10
    """New individuals of a generation, as in HexGen's repository."""
    generations: int = 300
    """As in HexGen's repository."""
    degrees: tuple[int, ...] = (8, 6, 4, 3, 2, 1)
    """Tensor-parallel degrees that HexGen tries, largest first."""
    max_parts: int = 8
    """Most groups that the devices of a machine are cut into, as in HexGen."""
    resolution: int = 10**12
    """Speeds are rounded to whole layers per this many seconds, so that sums are exact and do not
    depend on their order; no part of HexGen."""


@dataclass(frozen=True, slots=True)
class ParallaxParams:
    """How Parallax's choice of pipelines is searched (GradientHQ/parallax)."""

    max_states: int = 300
    """States that the dynamic program keeps after each machine: those whose pipelines lack the
    fewest layers. hexplan's own limit, set by hand; with more machines an exact search takes too
    long."""


HELIX_PARAMS = HelixParams()
HEXGEN_PARAMS = HexgenParams()
PARALLAX_PARAMS = ParallaxParams()
