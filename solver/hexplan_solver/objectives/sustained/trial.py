"""A trial: a candidate and its simulations, one for each of some seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import Offline, Outcome, Spread, Window, simulate


def mean_of(spreads: Iterable[Spread | None]) -> float:
    """Return the mean over the runs that measured something; 0 if none did."""
    means = [spread.mean_s for spread in spreads if spread is not None]
    return fmean(means) if means else 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate and its simulations."""

    found: Candidate
    window: Window
    outcomes: tuple[Outcome, ...]

    @property
    def decode_tokens_per_s(self) -> float:
        """Mean over the runs."""
        return fmean(outcome.decode_tokens_per_s for outcome in self.outcomes)

    @property
    def requests_per_s(self) -> float:
        """Mean over the runs."""
        return fmean(outcome.requests_per_s for outcome in self.outcomes)

    @property
    def ttft_s(self) -> float:
        """Mean time to the first token over the runs that measured one; 0 if none did."""
        return mean_of(outcome.ttft for outcome in self.outcomes)

    @property
    def tpot_s(self) -> float:
        """Mean time between two tokens over the runs that measured one; 0 if none did."""
        return mean_of(outcome.tpot for outcome in self.outcomes)

    def is_slower_than(self, other: Trial) -> bool:
        """Say whether the TTFT or the TPOT is larger."""
        return self.ttft_s > other.ttft_s or self.tpot_s > other.tpot_s

    def lateness(self, other: Trial) -> float:
        """Return the larger of two ratios to the other trial: of the TTFT and of the TPOT."""
        pairs = (self.ttft_s, other.ttft_s), (self.tpot_s, other.tpot_s)
        return max(own / its if its else 1.0 for own, its in pairs)


def window_for(candidates: Sequence[Candidate], longest: int, seed: int) -> Window:
    """Return a window long enough for every candidate, by the formula's stay of a request.

    Parameters
    ----------
    longest
        About how many tokens a run may emit; the window is shortened to that.
    """
    stay_s = max(found.served.residence_s for found in candidates)
    slowest = min(found.served.requests_per_s for found in candidates)
    fastest = max(found.served.decode_tokens_per_s for found in candidates)
    params = SUSTAINED_PARAMS
    warmup_s = params.warm_up_stays * stay_s
    measured_s = max(params.measured_stays * stay_s, params.measured_requests / slowest)
    duration_s = warmup_s + measured_s
    shorter = min(1.0, longest / (duration_s * fastest))
    return Window(round(duration_s * shorter, 3), round(warmup_s * shorter, 3), seed)


def run(found: Candidate, window: Window, seeds: Sequence[int]) -> Trial:
    """Simulate a candidate once for each seed, its KV cache filled with requests."""
    workload = found.evaluated.problem.spec.workload
    traffic = Offline(spread_lengths(workload))
    outcomes = tuple(
        simulate(
            found.pipeline,
            traffic,
            found.policy,
            Window(window.duration_s, window.warmup_s, seed),
        )
        for seed in seeds
    )
    return Trial(found, window, outcomes)
