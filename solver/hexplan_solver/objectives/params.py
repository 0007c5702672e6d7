"""Constants of the objectives without a room of their own that a person may want to change.

None of the shares was fitted: they were set by hand, with the example specs in view.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThroughputParams:
    """How a search for the largest flow divides its time; fitting to the links gets the rest."""

    start_share: float = 0.6
    """Share of the time left for the first placement."""
    bound_share: float = 0.2
    """Share of the time left for the pattern bound."""
    milp_share: float = 0.4
    """Share of the time left for the coverage MILP."""
    trunk_share: float = 0.4
    """Where sites share trunks, the three shares are multiplied by this: links need time."""
    link_share: float = 0.1
    """The same where network cards or single links limit a quick placement: its flow without them
    is seldom near."""
    quick_share: float = 0.2
    """Share of the time limit that the quick published methods may take together..."""
    quick_least_s: float = 10.0
    """...or this many seconds, if that is longer, even if the time is up..."""
    quick_devices: int = 64
    """...with up to this many devices. There they take a few hundredths of a second of work, and on
    a busy machine a plan should not be behind them either."""
    most_replicas: int = 2
    """Packings of whole replicas that the search knows, those of the largest flow."""
    zone_share: float = 0.12
    """The same where the trunks carry so little that there are several zones."""
    balanced_share: float = 0.4
    """Share of the time left in which balancing ends: on very large clusters it takes seconds."""
    round_s: float = 4.0
    """Effort that pays for one more round of placements without links, if no link binds and the
    bound leaves a gap."""
    stale_rounds: int = 3
    """Rounds without a gain after which the search ends."""
    least_round_share: float = 0.02
    """Share of the time limit that a round needs at least."""
    round_bound_share: float = 0.3
    """Share of the time left for the pattern bound in a round..."""
    round_placement_share: float = 0.5
    """...and for a better placement, from another seed."""


@dataclass(frozen=True, slots=True)
class JoinParams:
    """How the ways to join hosts share the time."""

    first_share: float = 0.4
    """Least share for the plan without joined hosts, which is a plan in any case; the ways to join
    share the rest."""


THROUGHPUT_PARAMS = ThroughputParams()
JOIN_PARAMS = JoinParams()
