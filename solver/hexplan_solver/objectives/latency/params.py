"""Constants of the latency objective that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LatencyParams:
    """How the rate is split over the routes, and how the candidates share the time.

    The values were set by hand, with the example specs in view; none was fitted.
    """

    first_share: float = 0.3
    """Share of the time for the plan of largest flow."""
    model_share: float = 0.4
    """Share of the time then left for the placements that the queueing model puts in order."""
    variants_effort: float = 0.4
    """Share of the effort for those of them that are placements on fewer hosts."""
    chain_steps: int = 2000
    """Sets of stages that the search for one chain looks at: it ends far earlier where a few
    stages hold the model."""
    chains: int = 4
    """Chains that one search finds; they differ by less than its costs are exact."""
    permuted: int = 4
    """Stages of a chain, or else hosts, or else sites, that are tried in every order."""
    loads: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    """What each stage of a chain must pass at least, as a share of the rate asked: with 0.25, four
    chains share the rate; with 2, a stage is half full."""
    most_chains: int = 32
    """Chains side by side, each from what the ones before have left, and stages of each range of
    layers in a uniform placement that are tried in any case, fewer where pipelines are long."""
    spare: int = 4
    """Uniform pipelines that are kept for each one that the rate needs, if there are many."""
    quick_share: float = 0.1
    """Share of the time left for the quick published methods."""
    grids: int = 3
    """Uniform grids of each type that are tried side by side with those of the other types."""
    pieces: int = 32
    """Pieces into which a stage's convex time is cut, so that the split is an LP."""
    fullest: float = 0.999
    """No stage is filled beyond this utilisation, since its time is infinite at 1."""
    slack: float = 1e-5
    """Share of every capacity that stays free, above the LP's tolerance of 1e-7, so that the plan
    never exceeds one."""

    kept: int = 8
    """Placements that are kept in the queueing model's order..."""
    by_queueing: int = 6
    """...and of these, the ones that are simulated in turn with those by the formula."""
    uniform: int = 6
    """Uniform placements with step limits, the fastest by the formula, that are simulated."""
    uniform_share: float = 0.1
    """Share of the time left for listing them."""
    level: float = 0.001
    """Part by which a tie may be later than the best uniform placement."""
    leading: int = 6
    """Candidates of both orders that are simulated before the shallowest and the deepest."""
    most_contenders: int = 16
    """Most candidates that are simulated."""
    most_load: float = 1.15
    """Candidates of which the rate is a larger share of what they serve by the formula are left
    out, unless there are no others: so far it may err (`formula_error` of `sustained`)."""
    overload: float = 1.1
    """If the rate exceeds what every candidate serves by the formula so many times, nothing is
    simulated: the formula was within a tenth of all simulations so far, and short runs do not show
    that ever more requests are in flight."""
    hopeless: float = 1.3
    """A candidate is not simulated if its requests take so many times as long by both models as
    those of the best so far do in the simulation."""
    walks_factor: float = 2.0
    """The annealing counts a candidate for less if its time from token to token exceeds so many
    times that of the shallowest."""
    walks_effort: float = 0.12
    """Share of the effort for the annealing."""
    walks_time: float = 0.3
    """Share of the time left after which the clock ends it."""
    steps_per_stage: int = 40
    """Most steps of one walk for each stage."""
    trials_effort: float = 0.45
    """Share of the effort for trials in the simulator..."""
    trials_device_s: float = 1.25
    """...or so many seconds of it for each device, if that is less..."""
    trials_least_s: float = 3.0
    """...but at least this many."""
    near: float = 0.02
    """Mean times of a request that differ by less than this share are near: so much may be chance
    in a few hundred requests. Between them the time to the first token counts, too, as it is a
    hundredth of the whole where outputs are long."""
    tunings: int = 6
    """Most times that the best trial gives way to one with other step limits."""
    runners_up: int = 2
    """Placements besides the best whose trials are repeated with other step limits."""
    warm_up_stays: float = 2.0
    """Start of a run that is not measured, in stays of a mean request."""
    measured_stays: float = 2.0
    """Least time that is measured, in stays of a mean request..."""
    measured_requests: int = 240
    """...and the least number of requests that arrive meanwhile. Both are halved where the effort
    is short."""
    deviations: float = 4.0
    """By how many standard deviations the requests in flight may rise while a run is measured..."""
    ramp: float = 0.1
    """...beside this share of them: the longest requests may still come to be in flight. A larger
    rise says that more arrive than the plan carries."""


LATENCY_PARAMS = LatencyParams()
