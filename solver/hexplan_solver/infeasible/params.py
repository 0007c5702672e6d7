"""Constants of the proofs of infeasibility that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InfeasibleParams:
    """How much work goes into a proof, and how much its message tells.

    With less work a reason may not be found, but none is wrong. The limits of the work were chosen
    by trial on random clusters of the tests; the other values were set by hand.
    """

    max_paths: int = 200
    """With more paths through the links, all places on any of them are taken together."""
    max_arcs: int = 20_000
    """With more arcs in the program of one route, nothing is proved."""
    milp_seconds: float = 5.0
    """Wall-clock limit of each MILP."""
    margin: float = 0.5
    """A MILP's bound proves that a number of layers or requests is impossible if it is this far
    below. Both are whole numbers, so half of one leaves most room for errors of the solver."""
    limit_steps: int = 100
    """Limits are tried in this many steps, to say which value would do."""
    max_told_paths: int = 100
    """Paths through the links that a message lists."""
    max_named_hosts: int = 4
    """Hosts that a message names before it says how many more there are."""


INFEASIBLE_PARAMS = InfeasibleParams()
