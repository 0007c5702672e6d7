"""Constants of the search for the cheapest hosts that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CostParams:
    """How the search for the cheapest hosts spends its time.

    The values were set by hand, with the example specs in view; none was fitted.
    """

    attempts: int = 4
    """Choices of hosts that are tried over all sites, each with more capacity than the last."""
    milp_share: float = 0.2
    """Share of the time left for the MILP of one choice of hosts, and for the work bound."""
    sites_share: float = 0.3
    """Share of the time left for the choices within a single site, all together."""
    solve_share: float = 0.3
    """Share of the time left for a plan on one choice of hosts."""
    refusal_s: float = 10.0
    """Most seconds for the best plan and the bound that a refusal states."""
    max_entries: int = 60_000
    """With more matrix entries, ranges start and end only at multiples of some number of layers."""
    bound_digits: int = 6
    """A bound on the cost is rounded down to this many decimals, to make it exact, before it is
    rounded up to a sum of prices."""


COST_PARAMS = CostParams()
