"""The judge: whether the simulated requests of a candidate keep the promise at a rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

from hexplan.constants import FIGURE_DIGITS, MICRO
from hexplan.workload import Slo, Workload
from hexplan_solver.objectives.slo.candidate import SloCandidate
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.run import Run
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import Outcome, Poisson, Window, simulate
from hexplan_solver.simulate import Slo as Promise


@dataclass(frozen=True, slots=True)
class Kept:
    """A candidate, the step of the largest rate at which it kept the promise, and that run."""

    candidate: SloCandidate
    step: int
    window: Window
    outcome: Outcome

    @property
    def rate(self) -> float:
        """In requests/s."""
        return rate_at(self.step)


def rate_at(step: int) -> float:
    """Return a rate of the grid that all candidates share, in requests/s."""
    return round(float(SLO_PARAMS.rate_step**step), FIGURE_DIGITS)


def step_below(rate: float) -> int:
    """Return the step of the largest rate of the grid that is at most `rate`."""
    return math.floor(math.log(rate) / math.log(SLO_PARAMS.rate_step) + 1e-9)


def lowest_step(candidate: SloCandidate) -> int:
    """Return the step of the lowest rate that is tried."""
    evaluated = candidate.draft.evaluated
    static = evaluated.value / MICRO / evaluated.problem.spec.workload.mean_tokens
    return step_below(static * SLO_PARAMS.lowest)


class Judge:
    """Simulates candidates with the same random numbers, and counts what that costs."""

    def __init__(self, run: Run, slo: Slo) -> None:
        self._run, self.slo = run, slo
        self._promise = Promise(float(slo.ttft_s), float(slo.tpot_s))
        self.token_hops = 0.0
        """Tokens times hops simulated so far."""
        self._seconds = self._longest_s = 0.0

    def outcome(self, candidate: SloCandidate, rate: float, requests: int) -> Outcome:
        """Simulate a candidate at a rate, and measure so many requests in the mean."""
        return self._outcome(candidate, rate, requests, self._window(candidate, rate, requests))

    def _window(self, candidate: SloCandidate, rate: float, requests: int) -> Window:
        """Return the times of a run, in figures that a plan states exactly."""
        warm_up = self._warm_up(candidate.draft.evaluated.problem.spec.workload, rate)
        times_s = ((warm_up + requests) / rate, warm_up / rate)
        duration_s, warmup_s = (round(time_s, FIGURE_DIGITS) for time_s in times_s)
        return Window(duration_s, warmup_s, self._run.options.seed, slo=self._promise)

    def _outcome(
        self, candidate: SloCandidate, rate: float, requests: int, window: Window
    ) -> Outcome:
        begun_s = self._run.elapsed_s
        workload = candidate.draft.evaluated.problem.spec.workload
        warm_up = self._warm_up(workload, rate)
        traffic = Poisson(rate, spread_lengths(workload))
        found = simulate(candidate.pipeline, traffic, candidate.policy, window)
        tokens = (warm_up + requests) * workload.output_tokens.mean
        self.token_hops += tokens * candidate.hops
        seconds = self._run.elapsed_s - begun_s
        self._seconds += seconds
        self._longest_s = max(self._longest_s, seconds)
        self._run.tell("slo", None)
        return found

    @property
    def has_time(self) -> bool:
        """Whether one more short run may end before the time limit, with time for a last one."""
        return self._run.left_s > 2 * self._longest_s

    def short(self, candidate: SloCandidate, step: int) -> Kept | None:
        """Return the candidate at a rate if a short run keeps the promise."""
        return self._kept(candidate, step, SLO_PARAMS.short_requests)

    def long(self, candidate: SloCandidate, step: int, requests: int) -> Kept | None:
        """Return the candidate at a rate if a long run keeps the promise and no queue grows."""
        kept = self._kept(candidate, step, requests)
        return None if kept is None or grows(kept.outcome) else kept

    def _kept(self, candidate: SloCandidate, step: int, requests: int) -> Kept | None:
        workload, rate = candidate.draft.evaluated.problem.spec.workload, rate_at(step)
        if self._full(workload, rate) > SLO_PARAMS.most_warm_up and rate > candidate.guess:
            # The run is over before so many are in flight, so the model of steps decides.
            return None
        if rate > candidate.carried:
            return None
        window = self._window(candidate, rate, requests)
        found = self._outcome(candidate, rate, requests, window)
        return Kept(candidate, step, window, found) if self._is_kept(found) else None

    def affordable(self, candidate: SloCandidate, step: int, seconds: float) -> int:
        """Return how many requests a long run can measure, as fast as runs have been so far."""
        if not self.token_hops:
            return SLO_PARAMS.long_requests
        workload = candidate.draft.evaluated.problem.spec.workload
        request_s = self._seconds / self.token_hops * workload.output_tokens.mean * candidate.hops
        return int(seconds * SLO_PARAMS.long_share / request_s) - self._warm_up(
            workload, rate_at(step)
        )

    def _warm_up(self, workload: Workload, rate: float) -> int:
        """Return the requests that come before the measurement."""
        params = SLO_PARAMS
        full = min(params.most_warm_up, self._full(workload, rate))
        return max(params.warm_up_requests, full)

    def _full(self, workload: Workload, rate: float) -> int:
        """Return the requests that come until as many are in flight as the promise allows."""
        stay_s = float(self.slo.ttft_s + workload.output_tokens.mean * self.slo.tpot_s)
        return int(SLO_PARAMS.warm_up_stays * rate * stay_s)

    def _is_kept(self, outcome: Outcome) -> bool:
        if outcome.slo is None or outcome.turned_away:
            return False
        return outcome.slo.attainment >= float(self.slo.attainment)


def grows(outcome: Outcome) -> bool:
    """Say whether ever more requests are in flight."""
    measured = [p.waiting + p.running for p in outcome.timeline if p.at_s > outcome.warmup_s]
    third = len(measured) // 3
    if not third:
        return False
    before, after = fmean(measured[third : 2 * third]), fmean(measured[2 * third :])
    params = SLO_PARAMS
    return after > before * params.growth and after > before + params.growth_requests
