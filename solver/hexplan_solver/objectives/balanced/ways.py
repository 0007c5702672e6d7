"""Ways to run a candidate: its step limits, and smaller ones, by the formula."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hexplan_solver.objectives.balanced.limits import Limits
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.sustained.candidate import Candidate, with_policy
from hexplan_solver.objectives.sustained.trial import Estimate
from hexplan_solver.served.step_limits import smaller_steps


@dataclass(frozen=True, slots=True)
class Ways:
    """A candidate with several step limits."""

    whole: Candidate
    """With those that it comes with."""
    estimates: tuple[Estimate, ...]
    """What was not tried yet, the largest rate first."""
    error: float | None = None
    """How many times as late as by the formula it is in a trial; None if there was none."""
    tries: int = 0

    def after(self, tried: Estimate, error: float) -> Ways | None:
        """Return what is left after a late trial; None if it is not worth more of them."""
        left = tuple(one for one in self.estimates if one is not tried)
        if not left or self.tries + 1 >= BALANCED_PARAMS.tries:
            return None
        return replace(self, estimates=left, error=error, tries=self.tries + 1)


def ways_of(found: Candidate, limits: Limits) -> Ways:
    """Return a candidate with its own step limits and with smaller ones."""
    spec = found.evaluated.problem.spec
    policies = smaller_steps(spec, found.policy)
    every = [found, *(with_policy(found, policy) for policy in policies)]
    estimates = [Estimate.of(one, BALANCED_PARAMS.load) for one in every]
    return Ways(found, tuple(sorted(estimates, key=limits.merit, reverse=True)))
