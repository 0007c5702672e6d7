"""Constants of the search for the largest sustained rate that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SustainedParams:
    """How the search spends its effort.

    Where nothing else is said, a value was set by hand, with the example specs in view.
    """

    static_share: float = 0.3
    """Share of the time for the placement of largest flow, which the others have to beat."""
    starts_share: float = 0.1
    """Share of the time then left for the starts."""
    search_share: float = 0.65
    """Share of the time then left for the annealing."""
    targets: tuple[float, ...] = (0.75, 0.55, 0.4)
    """Flows, as shares of the bound, at which placements of fewer hops are looked for."""

    pace: int = 4_000
    """Steps times stages of the annealing for each second of effort: a step takes longer the more
    stages there are. A count, so that the same effort and seed give the same plan wherever the
    time is enough."""
    steps_per_stage: int = 1_000
    """Most steps of one walk for each stage."""
    fresh_walks: int = 2
    """Walks from the best starts, each with its own seed."""
    further_walks: int = 1
    """Walks that follow from the best placement so far, each with its own seed."""
    cooling: float = 0.03
    """Share of the rate whose loss a step may accept at first; it falls to nothing at the end."""
    least_flow: float = 0.3
    """Placements whose flow is below this share of the start's are passed over unvalued."""

    fewest_candidates: int = 4
    """Candidates that are simulated however many tokens they emit, the references among them."""
    most_candidates: int = 12
    """Most candidates that are simulated, the references among them."""
    hopeless: float = 0.75
    """Candidates whose rate by the formula is below this share of the best are not simulated."""
    split_rounds: int = 12
    """Steps of the conditional-gradient method that spreads a flow."""
    split_shrink: float = 1 - 3e-7
    """A spread flow is multiplied by this. It loses more than the LP's tolerance of 1e-7, and less
    than the one part in a million that the check allows between a flow and the largest."""

    token_hops_per_s: int = 200_000
    """Tokens times hops that are simulated for each second of effort. One core simulates 240,000
    to 1,200,000 a second (2 x AMD EPYC, 2026-11-29): the least, with room for a slower machine."""
    trials_share: float = 0.45
    """Share of the effort for trials; the placements get the rest."""
    final_share: float = 0.35
    """Share of the trials that is kept for more runs of the best."""
    simulated_tokens: int = 8_000_000
    """Tokens that the first runs of all candidates may emit together."""
    tokens_per_s: int = 10_000
    """Tokens of one run for each second of effort, so that a run takes a small part of it."""
    longest_tokens: int = 4_000_000
    """Most tokens of one run, about: a large cluster is measured for a shorter time."""
    hasty_tokens: int = 400_000
    """Tokens of one run, about, where there is little or no time."""

    warm_up_stays: float = 2.0
    """Start of a run that is not measured, in stays of a mean request."""
    measured_stays: float = 3.0
    """Least time that is measured, in stays of a mean request."""
    measured_requests: int = 600
    """Least number of requests that are measured."""
    seeds: int = 3
    """Runs of each finalist."""
    finalists: int = 3
    """Candidates that get more than one run, beside the references."""
    tunings: int = 3
    """Rounds in which the leading trials are run with other step limits."""
    noise: float = 0.01
    """Simulated rates that differ by less than this share count as equal."""


SUSTAINED_PARAMS = SustainedParams()
