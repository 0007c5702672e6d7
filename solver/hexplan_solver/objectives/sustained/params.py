"""Constants of the search for the largest sustained rate that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SustainedParams:
    """How the search spends its effort.

    Where nothing else is said, a value was set by hand, with the example specs in view.
    """

    static_share: float = 0.4
    """Share of the time for the placement of largest flow, which the others have to beat. Its
    search may count on all of the effort, so that only the clock makes it shorter."""
    simple_share: float = 0.2
    """Share of the time then left for simple placements and their rates..."""
    simple_least_s: float = 1.0
    """...or this many seconds, if that is longer."""
    quick_share: float = 0.1
    """Share of the same time for the quick published methods together..."""
    quick_least_s: float = 0.5
    """...or this many seconds, if that is longer: on a small cluster they take milliseconds."""
    grid_stages: int = 2_000
    """Stages of the uniform grids that are valued, all together: on a small cluster that is every
    grid, on a large one those with the fewest stages a pipeline."""
    most_starts: int = 16
    """Simple placements and starts that go on, the best by the formula."""
    starts_share: float = 0.1
    """Share of the time then left for the starts."""
    shift_share: float = 0.15
    """Where an engine runs whole replicas alone: share of the time left for moving layers..."""
    free_shift_share: float = 0.03
    """...and where it runs every plan: the annealing moves layers, too..."""
    shifted: int = 3
    """...in this many of the best placements..."""
    shift_gain: float = 0.001
    """...as long as each move gains at least this share."""
    most_replicas: int = 6
    """Packings of whole replicas that are starts where the engine runs every plan, the best by the
    formula."""
    search_share: float = 0.35
    """Share of the time then left for the annealing: what it finds, trials have to judge."""
    targets: tuple[float, ...] = (0.75, 0.55, 0.4)
    """Flows, as shares of the bound, at which placements of fewer hops are looked for."""

    pace: int = 4_000
    """Steps times stages of the annealing for each second of effort: a step takes longer the more
    stages there are. A count, so that the same effort and seed give the same plan wherever the
    time is enough."""
    walks_share: float = 0.25
    """Share of the effort for the annealing."""
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

    most_candidates: int = 10
    """Most candidates that are simulated beside the references..."""
    most_grids: int = 2
    """...and so many uniform placements..."""
    tuned_grids: int = 6
    """...of so many that get their step limits first."""
    hopeless: float = 0.75
    """Candidates whose rate by the formula is below this share of the best are not simulated."""
    split_rounds: int = 12
    """Steps of the conditional-gradient method that spreads a flow."""
    split_slack: float = 0.03
    """A spread flow may serve so much less by the formula, which errs by more: what it says of
    routes that meet is an average. Of like stages the simulator fills both a little better."""
    split_shrink: float = 1 - 3e-7
    """A spread flow is multiplied by this. It loses more than the LP's tolerance of 1e-7, and less
    than the one part in a million that the check allows between a flow and the largest."""

    work_per_s: int = 800_000
    """Work of trials for each second of effort, in tokens times hops and what steps add. One core
    does 230,000 to 1,900,000 a second (2 x AMD EPYC, 2026-11-29)."""
    step_work: float = 8.0
    """Tokens times hops that take as long to simulate as a step and its message do besides its
    tokens: with this the pace is about the same on all examples."""
    trials_share: float = 0.7
    """Share of the effort for trials; the placements get the rest."""
    slow_machine: float = 0.3
    """Share of that pace at which the first run is expected to go, so that it ends in time."""
    first_share: float = 0.5
    """Share of the trials for the first runs of all candidates."""
    final_share: float = 0.35
    """Share of the trials that is kept for more runs of the best."""
    minor_share: float = 0.05
    """Runs are a small part of the trials up to this share of them."""
    least_scale: float = 0.5
    """Least share of the usual length of a run: one stay to warm up, and one and a half to measure.
    Below that a run says less than the formula."""
    hasty_work: float = 400_000.0
    """Work of the run of a plan that was chosen by the formula."""

    warm_up_stays: float = 2.0
    """Start of a run that is not measured, in stays of a mean request."""
    measured_stays: float = 3.0
    """Least time that is measured, in stays of a mean request."""
    measured_requests: int = 600
    """Least number of requests that are measured."""
    seeds: int = 3
    """Runs of each finalist."""
    most_stays: int = 12
    """Stays that are measured of each finalist, at most, where requests are all alike: seeds change
    nothing there, and crowds of requests that end together move a short run by a percent."""
    finalists: int = 3
    """Candidates that get more than one run, beside the references."""
    formula_error: float = 0.15
    """By how much a candidate may serve more than the formula says, beside what the trials before
    it did: the largest difference on the examples is 10 % (docs/benchmarks.md)."""
    tunings: int = 3
    """Rounds in which the leading trials are run with other step limits."""
    latency_slack: float = 1.1
    """How many times the stay of a reference's requests is about as short. With the KV cache full,
    a plan with more room for it has more requests in flight, which makes each a little slower."""
    noise: float = 0.01
    """Simulated rates that differ by less than this share count as equal."""


SUSTAINED_PARAMS = SustainedParams()
