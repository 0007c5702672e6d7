"""Constants of the bounds that a person may want to change; none of them makes a bound invalid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BoundParams:
    """How much work the bounds do.

    The values were chosen by trial on the example specs, where nothing else is said.
    """

    rounds: int = 80
    """Pattern bound: patterns generated for one target."""
    precision: int = 10_000
    """Pattern bound: the bisection ends when it knows the bound to one part in this many."""
    margin: float = 1e-6
    """Both: share by which fewer layers than L must be possible, more than the LP's tolerance of
    1e-7."""

    zone_shortest: int = 8
    """Zone bound: slower stages count as this many steps. That raises the bound a little, and lets
    as many entries of a knapsack be computed at once."""
    zone_rounds: int = 150
    """Zone bound: patterns generated for one box."""
    zone_trials: int = 3
    """Zone bound: rounds that first try the prices which ruled out other boxes."""
    zone_smoothing: float = 0.7
    """Zone bound: weight of the best prices so far in the next ones, which spares rounds
    (Wentges smoothing of column generation)."""
    zone_narrow: float = 0.02
    """Zone bound: a box is not halved once it is narrower than this share of the target."""
    zone_close: float = 5e-3
    """Zone bound: the bisection ends when it knows the bound to this share."""

    layered_hosts: int = 64
    """Layered bound: not computed for more hosts, as it has a column for each pair and block."""
    layered_blocks: int = 8
    """Layered bound: blocks of layers. On the `wan` clusters 4 and 16 gave the same bounds."""
    layered_points: int = 60
    """Layered bound: flows at which the work of a host is known..."""
    layered_range: float = 1000.0
    """...the largest over the smallest of them."""


BOUND_PARAMS = BoundParams()
