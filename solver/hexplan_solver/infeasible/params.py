"""Constants of the proofs of infeasibility that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InfeasibleParams:
    """How much work goes into a proof; with less, a reason may not be found, but none is wrong.

    The values were chosen by trial on random clusters of the tests.
    """

    max_paths: int = 200
    """With more paths through the links, all places on any of them are taken together."""
    max_arcs: int = 20_000
    """With more arcs in the program of one route, nothing is proved."""
    milp_seconds: float = 5.0
    """Wall-clock limit of each MILP."""


INFEASIBLE_PARAMS = InfeasibleParams()
