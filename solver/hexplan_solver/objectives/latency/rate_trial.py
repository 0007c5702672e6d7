"""A trial at a rate: simulations of a candidate with the requests that are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from hexplan.constants import RATE_BASIS
from hexplan_solver.objectives.latency.offered import Offered
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.shallowness import Shallowness
from hexplan_solver.objectives.slo.judge import grows
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.figures import rate_run
from hexplan_solver.objectives.sustained.trial import mean_tpot_s, mean_ttft_s
from hexplan_solver.plans.draft import Latency
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import Outcome, Poisson, Slo, Window, simulate


@dataclass(frozen=True, slots=True)
class RateTrial:
    """A candidate and its simulations at the rate asked, one for each of some seeds."""

    offered: Offered
    found: Candidate
    window: Window
    outcomes: tuple[Outcome, ...]

    @property
    def ttft_s(self) -> float:
        """Mean time from a request's arrival to its first token."""
        return mean_ttft_s(self.outcomes)

    @property
    def total_s(self) -> float:
        """Mean time from a request's arrival to its last token."""
        return self.offered.total_s(mean_ttft_s(self.outcomes), mean_tpot_s(self.outcomes))

    @property
    def is_carried(self) -> bool:
        """Whether none of the requests was turned away, and no queue grew."""
        if any(o.turned_away or o.ttft is None or grows(o) for o in self.outcomes):
            return False
        found = [_in_flight(outcome) for outcome in self.outcomes]
        rise, mean = sum(rise for rise, _ in found), sum(mean for _, mean in found)
        # Numbers of requests in flight are about Poisson, so variances are as large as means.
        chance = LATENCY_PARAMS.deviations * math.sqrt(max(1.0, mean))
        return rise <= chance + LATENCY_PARAMS.ramp * mean

    @property
    def depth(self) -> Shallowness:
        """How deep it is."""
        return Shallowness.of(self.found.evaluated)

    @property
    def latency(self) -> Latency:
        """What a plan states of the trial."""
        finished = sum(outcome.finished for outcome in self.outcomes)
        several = any(outcome.tpot for outcome in self.outcomes)
        return Latency(
            mean_ttft_s(self.outcomes),
            mean_tpot_s(self.outcomes) if several else None,
            RATE_BASIS.format(requests=finished),
            rate_run(self.offered.requests_per_s, self.window, self.found.policy, self.outcomes),
        )


def run_at_rate(
    offered: Offered, found: Candidate, window: Window, seeds: Sequence[int]
) -> RateTrial:
    """Simulate a candidate once for each seed, with requests that arrive at random."""
    traffic = Poisson(offered.requests_per_s, spread_lengths(offered.workload))
    promised = replace(window, slo=Slo.of(offered.workload))
    outcomes = tuple(
        simulate(found.pipeline, traffic, found.policy, replace(promised, seed=seed))
        for seed in seeds
    )
    return RateTrial(offered, found, window, outcomes)


def _in_flight(outcome: Outcome) -> tuple[float, float]:
    """Return by how much the requests in flight rose while it was measured, and their mean."""
    seen = [p.waiting + p.running for p in outcome.timeline if p.at_s >= outcome.warmup_s]
    few = max(1, len(seen) // 10)
    return fmean(seen[-few:]) - fmean(seen[:few]), fmean(seen)
