"""The choice: rates from trials with a full KV cache, latencies from trials at a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.objectives.balanced.contest import Contest, equal_of
from hexplan_solver.objectives.balanced.limits import Limits
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.sustained.budget import TrialBudget
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.trial import Estimate, Judged, best_of_equal, lateness


@dataclass(frozen=True, slots=True)
class Balanced:
    """The choice, and what it was held against."""

    chosen: Judged
    shallowest: Judged
    """Judged alike: both by trials, or both by the formula."""


def choose(limits: Limits, others: Sequence[Candidate], budget: TrialBudget) -> Balanced:
    """Return the candidate that serves most at the latencies that are allowed.

    Where the budget allows no trials of the shallowest and one more, the formula decides.

    Parameters
    ----------
    others
        Those beside the shallowest, the most promising first.
    """
    shallowest = limits.shallowest.found
    if budget.affords([shallowest, *others[:1]]):
        contest = Contest(limits, budget)
        contest.settle(others)
        if not contest.is_short:
            return Balanced(contest.best, contest.reference)
    estimates = [Estimate.of(one, BALANCED_PARAMS.load) for one in others]
    allowed = [one for one in estimates if lateness(one, limits.shallowest) <= limits.factor]
    equal = equal_of([limits.shallowest, *allowed], limits)
    return Balanced(best_of_equal(equal), limits.shallowest)
