"""Constants of a replan that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.anneal import Walk
from hexplan_solver.milp import Patience


@dataclass(frozen=True, slots=True)
class ReplanParams:
    """How a replan divides its time, and how its searches work.

    Where nothing else is said, a value was set by hand, with the example specs in view.
    """

    fresh_share: float = 0.5
    """Share of the time for a plan as if no weights were in place."""
    retain_share: float = 0.6
    """Share of the time then left for the MILP of the fewest bytes."""
    walk_share: float = 0.5
    """Share of the time then left for the local search, if the links make one necessary."""
    refill_share: float = 0.5
    """Share of the time then left for the MILP of the largest flow with those bytes."""

    patience: Patience = Patience(6000, 6000, 0.0)
    """For the MILP of the fewest bytes: its proof is stated, so it is not ended at a small gap."""
    bound_margin: float = 1e-6
    """Share by which the MILP's bound is lowered, more than the solver's tolerances."""
    proved: float = 1.001
    """A placement that moves at most this many times the fewest bytes is not searched further."""
    max_entries: int = 200_000
    """With more matrix entries, a MILP has only ranges that begin and end where stages of known
    placements do."""
    max_sets: int = 32
    """With more ways to choose the devices of a group, only runs of neighbours are tried."""

    walk: Walk = Walk(steps=6_000)
    """The local search: a count, so that two runs that end before their time limit end alike."""
    steps_per_look: int = 64
    """Steps between two looks at the clock."""
    hot: float = 0.1
    """Temperature at the start, as a share of the largest cost of a known placement: enough to
    accept that a tenth of its bytes moves in addition."""
    cold: float = 0.001
    """Temperature at the end, likewise."""
    missing_cost: float = 20.0
    """Cost of lacking the whole flow, as a share of the same cost. Each percent of the flow then
    costs as much as a fifth of those bytes, so a placement that misses the flow is soon left."""


REPLAN_PARAMS = ReplanParams()
