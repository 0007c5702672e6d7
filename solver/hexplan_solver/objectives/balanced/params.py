"""Constants of the objective `balanced` that a person may want to change.

All were set by hand, so that clusters of a few hosts are planned in a second or two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BalancedParams:
    """How the search divides its time and its effort."""

    static_share: float = 0.4
    """Most of the time for the plan of largest flow, which gives the bound."""
    static_device_s: float = 0.25
    """Seconds that it gets for each device, if that is shorter..."""
    static_least_s: float = 3.0
    """...but at least this many."""
    patience: float = 0.1
    """Share of the usual steps of the MILP over layers: most of them go into the proof. With this
    it takes a second or less on a few hosts."""
    load: float = 0.8
    """Share of its sustained rate at which the latencies of a plan are taken. At all of it the
    queues before the first stages grow for as long as a run lasts; up to about this share they do
    not."""
    walks_effort: float = 0.12
    """Share of the effort for the annealing."""
    walks_time: float = 0.4
    """Share of the time left after which the clock ends it."""
    steps_per_stage: int = 40
    """Most steps of one walk for each stage."""
    trials_effort: float = 0.6
    """Share of the effort for trials in the simulator."""
    trials_device_s: float = 2.5
    """Seconds of that effort for each device, if that is less..."""
    trials_least_s: float = 4.0
    """...but at least this many."""
    tunings: int = 2
    """Rounds in which the leading trial is run with other step limits."""
    tries: int = 3
    """Trials of a placement with smaller steps, as long as it is late..."""
    retry_margin: float = 1.02
    """...and by how much later it is then expected to be than the formula and its trial say."""
    rescues: int = 3
    """Trials beyond the budget where none but the shallowest candidate was in time."""
    throttlings: int = 3
    """Trials of a placement with less of the flow on its late routes..."""
    throttling_step: float = 1.2
    """...fewer, if the part that is allowed is known up to this factor."""
    least_part: float = 0.05
    """Late routes that may keep less of their flow are not worth a trial."""
    most_part: float = 0.9
    """What late routes keep at most of the flow with which they were late."""
    hopeless: float = 0.5
    """Candidates whose rate by the formula is below this share of the best are not simulated."""
    most_candidates: int = 14
    """Most candidates that are simulated, the shallowest and uniform ones among them."""
    late_candidates: int = 3
    """Candidates that are judged by the formula once the time is up."""
    slack: float = 1.25
    """By how much the time from token to token may exceed by the formula what is allowed, so that a
    trial is worth its time: the formula is within 25 % of the simulator
    (`python benchmarks/sustained.py --formula`)."""


BALANCED_PARAMS = BalancedParams()
