"""Trials: candidates simulated with common seeds, and the one that is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from hexplan_solver.simulate import Offline, Outcome, Policy, Window, simulate
from hexplan_solver.sustained.placed import Placed
from hexplan_solver.sustained.request import spread_lengths

WARM_UP, MEASURED = 2.0, 3.0
"""Stays of a mean request that are left out at first, and those that are measured."""
REQUESTS = 600
"""Requests that are measured, at least."""
LONGEST_TOKENS, HASTY_TOKENS = 4_000_000, 400_000
"""Tokens that one run emits, about, at most, and where time is up before the first run: the window
of a large cluster is shorter."""
SEEDS = 3
"""Runs of each finalist."""
FINALISTS = 3
"""Candidates that get more than one run, beside the first one."""
NOISE = 0.01
"""Rates that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate and its simulations."""

    found: Placed
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
        """Mean time to the first token; 0 where none came in the measured time."""
        return fmean(outcome.ttft.mean_s if outcome.ttft else 0.0 for outcome in self.outcomes)

    @property
    def tpot_s(self) -> float:
        """Mean time between tokens, likewise."""
        return fmean(outcome.tpot.mean_s if outcome.tpot else 0.0 for outcome in self.outcomes)

    def is_slower_than(self, other: Trial) -> bool:
        """Say whether either latency is worse."""
        return self.ttft_s > other.ttft_s or self.tpot_s > other.tpot_s


def window_for(candidates: Sequence[Placed], longest: int = LONGEST_TOKENS) -> Window:
    """Return a window long enough for every candidate, by the formula's stay of a request."""
    stay_s = max(found.served.residence_s for found in candidates)
    slowest = min(found.served.requests_per_s for found in candidates)
    fastest = max(found.served.decode_tokens_per_s for found in candidates)
    warmup_s = WARM_UP * stay_s
    duration_s = warmup_s + max(MEASURED * stay_s, REQUESTS / slowest)
    shorter = min(1.0, longest / (duration_s * fastest))
    return Window(round(duration_s * shorter, 3), round(warmup_s * shorter, 3), seed=0)


def run(found: Placed, policy: Policy, window: Window, seeds: Sequence[int]) -> Trial:
    """Simulate a candidate once for each seed, with as many requests as its KV cache takes."""
    workload = found.network.spec.workload
    traffic = Offline(spread_lengths(workload))
    outcomes = tuple(
        simulate(found.pipeline, traffic, policy, Window(window.duration_s, window.warmup_s, seed))
        for seed in seeds
    )
    return Trial(found, window, outcomes)


def choose(
    candidates: Sequence[Placed],
    policy: Policy,
    first_seed: int,
    may_go_on: Callable[[float], bool],
) -> Trial:
    """Return the candidate that serves most at no worse mean latencies than the first.

    All are run with one seed and the best of them with more; among equals the one of fewest hops
    is kept. Where time is up, the runs so far decide.

    Parameters
    ----------
    may_go_on
        Told the best rate so far before each run; False ends the trials.
    """
    has_time = may_go_on(candidates[0].served.decode_tokens_per_s)
    window = window_for(candidates, LONGEST_TOKENS if has_time else HASTY_TOKENS)
    trials = [run(candidates[0], policy, window, [first_seed])]
    for found in candidates[1:]:
        if not may_go_on(max(trial.decode_tokens_per_s for trial in trials)):
            break
        trials.append(run(found, policy, window, [first_seed]))
    seeds = range(first_seed + 1, first_seed + SEEDS)
    finalists = [trials[0], *_fastest(trials)[:FINALISTS]]
    longer: list[Trial] = []
    for trial in dict.fromkeys(finalists):
        if not may_go_on(max(trial.decode_tokens_per_s for trial in trials)):
            return _best(longer or trials)
        more = run(trial.found, policy, window, seeds)
        longer.append(Trial(trial.found, window, trial.outcomes + more.outcomes))
    return _best(longer)


def _fastest(trials: Sequence[Trial]) -> list[Trial]:
    """Return all but the first, those first that are no slower to answer and serve most."""
    reference = trials[0]
    return sorted(trials[1:], key=lambda t: (t.is_slower_than(reference), -t.decode_tokens_per_s))


def _best(trials: Sequence[Trial]) -> Trial:
    """Return the best of trials of equal runs; the first is what none may be slower than."""
    reference = trials[0]
    allowed = [trial for trial in trials if not trial.is_slower_than(reference)]
    most = max(trial.decode_tokens_per_s for trial in allowed)
    equal = [t for t in allowed if t.decode_tokens_per_s >= most * (1 - NOISE)]
    return min(equal, key=lambda t: (round(t.found.served.hops, 6), -t.decode_tokens_per_s))
