"""Constants of the search without links that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartParams:
    """How the search for a placement without links spends its time.

    The values were chosen by trial on the example specs and on generated clusters of up to
    thousands of devices.
    """

    max_entries: int = 60_000
    """With more matrix entries, the coverage MILP has only stages near those of the best
    placement."""
    losses: tuple[float, ...] = (1.0, 0.04, 0.01)
    """Shares of its work that a balanced stage may lose to lie where it is needed most. All are
    tried, as none is the best on every cluster."""
    large: int = 512
    """With more devices, segments are tried only if balancing does not reach `balanced_enough`."""
    balanced_enough: float = 0.985
    """Share of the bound, on large clusters, from which a placement is good enough."""
    milp_devices: int = 200
    """With more devices, no MILP over the stages near a placement is tried."""
    segments_enough: float = 0.995
    """Share of the bound from which no more segments are looked for."""
    good_enough: float = 0.98
    """Share of the bound from which the MILP over near stages gains too little for its time."""
    entry_s: float = 2e-5
    """Seconds in which PuLP builds a matrix entry and hands it to HiGHS. Where less is left for the
    MILP, and there is a placement, it is left out."""
    least_milp_s: float = 0.1
    """Least seconds of the coverage MILP, even if the time is up."""

    near_layers: tuple[int, ...] = (0, 1, 2)
    """A stage is near another of its kind if their numbers of layers differ by at most the last of
    these. The nearest come first, until there are `max_entries`."""
    slice_devices: int = 256
    """A large cluster is solved in slices of about this many devices."""

    passes: int = 12
    """Balancing: how often every stage is moved."""
    widest: float = 1.0
    """Balancing: the first tau, as a share of the target."""
    narrowest: float = 0.002
    """Balancing: the last tau. It tells layers apart whose coverage differs by this share."""
    regroup_every: int = 4
    """Balancing: in every pass of this number, hosts may also change their partition."""
    most_partitions: int = 24
    """Balancing: most partitions of a host that are tried at a time; if it has more, some are
    drawn. Eight devices of one type have 22. Three types on one host have up to 400, and all of
    them took 90 % of the time on `large` clusters of benchmarks/odd_specs.py."""
    seed: int = 0
    """Balancing: seed of the order in which hosts are moved."""


START_PARAMS = StartParams()
