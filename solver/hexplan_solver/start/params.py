"""Constants of the first placements that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartParams:
    """How the search for a placement without links spends its time.

    The values were chosen by trial on the example specs and on generated clusters of up to
    thousands of devices.
    """

    max_entries: int = 60_000
    """Matrix entries above which the coverage MILP sees only stages near the best placement's."""
    losses: tuple[float, ...] = (0.01, 0.04, 1.0)
    """Shares of its work that a balanced stage may lose to lie where it is needed most; each is
    tried, as clusters differ in which serves best."""
    large: int = 512
    """With more devices, segments are tried only if balancing falls short of `balanced_enough`."""
    balanced_enough: float = 0.985
    """Share of the bound, on large clusters, from which a placement is good enough."""
    milp_devices: int = 200
    """With more devices, no MILP over the stages near a placement is tried."""
    segments_enough: float = 0.995
    """Share of the bound from which no more segments are searched."""
    good_enough: float = 0.98
    """Share of the bound from which the MILP over near stages is not worth its time."""
    least_milp_s: float = 0.1
    """Seconds that the coverage MILP has, even if the time is up."""

    slice_devices: int = 256
    """A large cluster is solved in slices of about this many devices."""

    passes: int = 12
    """How often balancing moves every stage."""
    widest: float = 1.0
    """The first scale tau of balancing, as a share of the target."""
    narrowest: float = 0.002
    """Its last, which tells apart layers whose coverage differs by that share."""
    regroup_every: int = 4
    """Every so many passes, hosts may also change their partition."""
    seed: int = 0
    """Of the order in which balancing moves hosts."""


START_PARAMS = StartParams()
