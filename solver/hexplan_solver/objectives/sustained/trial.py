"""What a candidate is judged by: an estimate by the formula, or a trial in the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol, TypeVar

from hexplan.constants import FIGURE_DIGITS
from hexplan_solver.objectives.shallowness import Shallowness, shallowest
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.served.latencies import latencies_at
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.scheduler import clump_tokens
from hexplan_solver.simulate import (
    Offline,
    Outcome,
    Poisson,
    Slo,
    Spread,
    Traffic,
    Window,
    simulate,
)


class Judged(Protocol):
    """A candidate with its rate and its mean latencies."""

    @property
    def found(self) -> Candidate:
        """The candidate."""
        ...

    @property
    def decode_tokens_per_s(self) -> float:
        """Tokens decoded per second."""
        ...

    @property
    def ttft_s(self) -> float:
        """Mean time to the first token; 0 if it is not known."""
        ...

    @property
    def tpot_s(self) -> float:
        """Mean time between two tokens of a request; 0 if it is not known."""
        ...


AnyJudged = TypeVar("AnyJudged", bound=Judged)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A candidate, judged by the formula."""

    found: Candidate
    ttft_s: float
    """0 where prompts run whole."""
    tpot_s: float
    """0 where prompts run whole."""

    @staticmethod
    def of(found: Candidate, load: float = 1.0) -> Estimate:
        """Judge a candidate, its latencies at a share of its rate."""
        workload = found.evaluated.problem.spec.workload
        times = latencies_at(load, found.pipeline, workload, found.policy, found.served)
        if times is None:
            return Estimate(found, 0.0, 0.0)
        return Estimate(found, times.ttft_s, times.tpot_s)

    @property
    def decode_tokens_per_s(self) -> float:
        """By the formula."""
        return self.found.served.decode_tokens_per_s

    @property
    def stay_s(self) -> float:
        """Time of a mean request, from its arrival to its last token."""
        return stay_s(self)


def mean_of(spreads: Iterable[Spread | None]) -> float:
    """Return the mean over the runs that measured something; 0 if none did."""
    means = [spread.mean_s for spread in spreads if spread is not None]
    return fmean(means) if means else 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate and its simulations, one for each of some seeds."""

    found: Candidate
    window: Window
    outcomes: tuple[Outcome, ...]
    """With as many requests as the KV cache takes."""
    loaded: tuple[Outcome, ...] = ()
    """With requests that arrive at random, at a share of the rate that the run above served."""
    loaded_requests_per_s: float = 0.0
    """Their rate; 0 without such runs."""

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
        """Mean time to the first token, in the loaded runs if there are any."""
        return mean_ttft_s(self.loaded or self.outcomes)

    @property
    def tpot_s(self) -> float:
        """Mean time between two tokens of a request, in the loaded runs if there are any."""
        return mean_tpot_s(self.loaded or self.outcomes)


def mean_ttft_s(outcomes: Sequence[Outcome]) -> float:
    """Return the mean time to the first token over the runs that measured one; 0 if none did."""
    return mean_of(outcome.ttft for outcome in outcomes)


def mean_tpot_s(outcomes: Sequence[Outcome]) -> float:
    """Return the mean time between two tokens over the runs that measured one; 0 if none did."""
    return mean_of(outcome.tpot for outcome in outcomes)


def lateness(one: Judged, other: Judged) -> float:
    """Return the larger of two ratios of one to the other: of the TTFT and of the TPOT."""
    pairs = (one.ttft_s, other.ttft_s), (one.tpot_s, other.tpot_s)
    return max(own / its if its else 1.0 for own, its in pairs)


def stay_s(one: Judged) -> float:
    """Return the time of a mean request, from its arrival to its last token; 0 if not known."""
    workload = one.found.evaluated.problem.spec.workload
    return one.ttft_s + workload.output_tokens.mean * one.tpot_s


def slowness(one: Judged, other: Judged) -> float:
    """Return how many times as long a request stays in one as in the other."""
    return stay_s(one) / stay_s(other) if stay_s(other) else 1.0


def best_of_equal(equal: Sequence[AnyJudged]) -> AnyJudged:
    """Return, of those that serve as much but for noise, the shallowest, and of these the best."""

    def depth_of(one: AnyJudged) -> Shallowness:
        return Shallowness.of(one.found.evaluated)

    shallow = shallowest(equal, depth_of)
    return min(shallow, key=lambda one: (-one.decode_tokens_per_s, depth_of(one)))


def is_hopeless(found: Candidate, best: float, trials: Sequence[Trial]) -> bool:
    """Say whether a candidate serves less than the best, even if the formula errs as it may.

    Where trials on the same cluster served more than the formula says, so may the candidate.
    """
    low = [one.decode_tokens_per_s / one.found.served.decode_tokens_per_s for one in trials]
    most = found.served.decode_tokens_per_s * max([1.0, *low])
    return most * (1 + SUSTAINED_PARAMS.formula_error) < best


def is_certain(found: Candidate) -> bool:
    """Say whether all requests are alike, so that runs with a full KV cache are, with any seed."""
    workload = found.evaluated.problem.spec.workload
    lengths = workload.prompt_tokens, workload.output_tokens
    return all(one.mean == one.max for one in lengths)


def window_for(found: Candidate, scale: float, seed: int) -> Window:
    """Return the window of a candidate's run, by the formula's stay of a request.

    Parameters
    ----------
    scale
        Share of the usual length; below 1 the least number of requests falls with its square.
    """
    served, params = found.served, SUSTAINED_PARAMS
    warmup_s = params.warm_up_stays * served.residence_s
    measured_s = max(
        params.measured_stays * served.residence_s,
        params.measured_requests * min(scale, 1.0) / served.requests_per_s,
    )
    return Window(round((warmup_s + measured_s) * scale, 3), round(warmup_s * scale, 3), seed)


def in_whole_stays(trial: Trial, longest_s: float, *, is_short: bool) -> Window:
    """Return a window of whole stays, each as long as a request stayed in a trial.

    Parameters
    ----------
    longest_s
        It ends by then, but measures no fewer stays than usual.
    is_short
        Whether runs are shorter than usual: then there is one stay less to warm up, and to measure.
    """
    params, window = SUSTAINED_PARAMS, trial.window
    output = trial.found.evaluated.problem.spec.workload.output_tokens.mean
    stay = mean_ttft_s(trial.outcomes) + (output - 1) * mean_tpot_s(trial.outcomes)
    if not stay:
        return window
    warmup_s = (params.warm_up_stays - is_short) * stay
    affordable = min((longest_s - warmup_s) // stay, params.most_stays)
    measured_s = max(params.measured_stays - is_short, affordable) * stay
    return Window(round(warmup_s + measured_s, 3), round(warmup_s, 3), window.seed)


def work_of(found: Candidate, duration_s: float) -> float:
    """Return about how much work a run of so many simulated seconds is: tokens times hops.

    Each step that decodes few tokens counts for a few more.
    """
    served, num_stages = found.served, len(found.pipeline.stages)
    clump = clump_tokens(found.policy, served.in_flight * served.hops / num_stages)
    token_hops = duration_s * served.decode_tokens_per_s * served.hops
    return token_hops * (1 + SUSTAINED_PARAMS.step_work / clump)


def hasty_window(found: Candidate, seed: int) -> Window:
    """Return the window of a run that takes about a second, however long a request stays."""
    usual = window_for(found, SUSTAINED_PARAMS.least_scale, seed)
    duration_s, warmup_s = usual.duration_s or 0.0, usual.warmup_s or 0.0
    share = min(1.0, SUSTAINED_PARAMS.hasty_work / work_of(found, duration_s))
    return Window(round(duration_s * share, 3), round(warmup_s * share, 3), seed)


def run(found: Candidate, window: Window, seeds: Sequence[int]) -> Trial:
    """Simulate a candidate once for each seed, its KV cache filled with requests."""
    traffic = Offline(spread_lengths(found.evaluated.problem.spec.workload))
    return Trial(found, window, _outcomes(found, traffic, window, seeds))


def run_once(found: Candidate, window: Window) -> Trial:
    """Simulate a candidate once, with the seed of its window."""
    return run(found, window, [window.seed])


def with_load(trial: Trial, load: float) -> Trial:
    """Add a run for each seed in which requests arrive at random, at a share of the rate served."""
    found, seeds = trial.found, [outcome.seed for outcome in trial.outcomes]
    served = trial.requests_per_s or found.served.requests_per_s
    rate = round(served * load, FIGURE_DIGITS)
    workload = found.evaluated.problem.spec.workload
    promised = replace(trial.window, slo=Slo.of(workload))
    loaded = _outcomes(found, Poisson(rate, spread_lengths(workload)), promised, seeds)
    return replace(trial, loaded=loaded, loaded_requests_per_s=rate)


def _outcomes(
    found: Candidate, traffic: Traffic, window: Window, seeds: Sequence[int]
) -> tuple[Outcome, ...]:
    windows = (replace(window, seed=seed) for seed in seeds)
    return tuple(simulate(found.pipeline, traffic, found.policy, seeded) for seeded in windows)
