"""The limits: the shallowest candidate, and the latencies that follow from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.robust import least_share
from hexplan_solver.objectives.shallowness import Shallowness
from hexplan_solver.objectives.sustained.candidate import Candidate, tuned
from hexplan_solver.objectives.sustained.trial import Estimate, Judged, lateness


@dataclass(frozen=True, slots=True)
class Limits:
    """Which latencies are allowed."""

    shallowest: Estimate
    factor: float
    """How many times the TTFT and the TPOT of the shallowest candidate."""
    is_robust: bool = False
    """Whether rates count as far as they are kept if speeds are lower than predicted."""

    @property
    def most_tpot_s(self) -> float:
        """The longest time from token to token at the whole sustained rate, by the formula."""
        tpot_s = self.shallowest.found.served.tpot_s
        return math.inf if tpot_s is None else tpot_s * self.factor

    def merit(self, one: Judged) -> float:
        """Return the rate that candidates are compared by."""
        share = least_share(one.found.evaluated) if self.is_robust else 1.0
        return one.decode_tokens_per_s * share

    def is_deep(self, found: Candidate) -> bool:
        """Say whether tokens follow each other too slowly at the whole rate: quick to tell."""
        return (found.served.tpot_s or 0.0) > self.most_tpot_s * BALANCED_PARAMS.slack

    def grade(self, found: Candidate) -> int:
        """Return 0 for latencies that are allowed, 1 if they may be (the formula errs), else 2."""
        late = lateness(Estimate.of(found, BALANCED_PARAMS.load), self.shallowest) / self.factor
        return (late > 1) + (late > BALANCED_PARAMS.slack)


def shallowest_of(found: Sequence[Candidate]) -> Estimate:
    """Return the candidate of fewest hops, then fewest hosts, whose requests take least time."""
    depths = [Shallowness.of(one.evaluated) for one in found]
    least = min((depth.hops, depth.num_hosts) for depth in depths)
    equal = [
        Estimate.of(tuned(one), BALANCED_PARAMS.load)
        for one, depth in zip(found, depths, strict=True)
        if (depth.hops, depth.num_hosts) == least
    ]
    return min(equal, key=lambda one: one.stay_s)
