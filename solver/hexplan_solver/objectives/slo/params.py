"""Constants of the search for the largest promised rate that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SloParams:
    """How the search spends its time and its requests; set by hand, with the example specs in view.

    The numbers of requests come from row 26c of tests/data/trials: 205 requests kept a promise at a
    rate at which 2,000 did not, as the queue grew for longer than the run.
    """

    first_share: float = 0.15
    """Share of the time left for the plan of largest flow."""
    variant_share: float = 0.05
    """Share of the time left for each variant of the spec."""
    most_variants: int = 6
    """Variants of the spec that are planned for the largest flow."""
    list_share: float = 0.15
    """Share of the time left for the list of uniform placements and quick methods."""
    of_each_type: int = 2
    """Uniform placements of each type of device that are tried beside those of the others."""
    most_mixes: int = 16
    """Mixes of them that are tried."""
    division_grids: int = 6
    """Grids of each type that may prefill, and that may decode: those that serve most of it."""
    division_counts: int = 16
    """Numbers of pipelines of a grid that are tried for prefill, at most."""
    most_divisions: int = 512
    """Ways in which the types of devices together are divided between the phases, at most."""
    splits_alike: int = 3
    """Divisions that are put together among those whose prompts run on the same kinds of stages."""
    most_splits: int = 16
    """Divisions that are put together and estimated by the model of steps, at most..."""
    split_stages: int = 256
    """...if they have no more stages than this, as each costs three largest flows."""
    links_share: float = 0.99
    """Share of a link that the tokens and the KV of a split may take: with more, KV comes ever
    later, which a run may be too short to show."""
    screen_share: float = 0.4
    """Share of the time then left for short simulations; long ones get the rest."""
    split_share: float = 0.2
    """Share of the time left after those for short simulations of splits."""
    split_hopeless: float = 0.6
    """Splits below this share of the best rate of others by the model of steps are not simulated:
    the model flatters large steps of prompts and decodes."""
    token_hops_per_s: int = 100_000
    """Tokens times hops that short simulations may run for each second of effort: about half of
    what one core does at small batches (2 x AMD EPYC, 2026-11-29)."""
    fewest: int = 3
    """Candidates that are simulated however long that takes."""
    most: int = 12
    """Candidates that are simulated, those of the largest rates by the model of steps."""
    hopeless: float = 0.8
    """Candidates below this share of the best rate by that model are not simulated."""
    given_up: float = 0.5
    """A candidate that is below this share of what the model says of a later one is given up, until
    it turns out that none is better."""
    finalists: int = 3
    """Candidates that are simulated for long, if the ones before do not exceed them."""

    rate_step: float = 1.02
    """Rates are powers of this, in requests/s: all candidates are tried at the same ones."""
    lowest: float = 1 / 64
    """The lowest rate that is tried, as a share of what the largest flow carries."""
    stride: int = 6
    """Steps by which the first rates of a candidate differ; the distance then doubles."""
    resolution: int = 2
    """Steps within which short runs find the largest rate."""
    first_lower: int = 4
    """Steps by which the first long run is below the rate of the short ones: 2,000 requests bring
    more of a crowd at some moment than 300 do..."""
    margin: int = 6
    """...and by which the rate is lowered if there is no time for a long run."""
    warm_up_requests: int = 100
    """Requests of one simulation that arrive before the measurement, in the mean..."""
    warm_up_stays: float = 1.5
    """...or as many as arrive in so many times the longest stay that keeps the promise."""
    most_warm_up: int = 3000
    """Most of them: on large clusters more are in flight than a run can hold."""
    short_requests: int = 300
    """Requests that are measured to put candidates in order."""
    long_requests: int = 2000
    """Requests that have to keep the promise at the rate that the plan states..."""
    long_share: float = 0.7
    """Share of the time left that a long run may take, as runs have taken so far: a busy machine
    may become slower meanwhile."""
    least_requests: int = 800
    """...or at least so many, if there is no time for more."""
    growth: float = 1.25
    """A queue grows if the last third of a long run has so many times the requests in flight of the
    middle third..."""
    growth_requests: float = 10.0
    """...and so many more, so that a few requests more do not count."""
    rare: float = 1e-6
    """By the model of steps: the rate at which a request is alone, as a share of the largest."""
    bisections: int = 12
    """By the model of steps: steps of the bisection for a rate."""
    rounds: int = 12
    """By the model of steps: rounds in which the requests in flight and the times settle."""


SLO_PARAMS = SloParams()
