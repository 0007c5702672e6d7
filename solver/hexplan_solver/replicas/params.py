"""Constants of the search for whole replicas that a person may want to change.

All were set by hand, with the example specs in view.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplicaParams:
    """How the search divides its time."""

    rounds: int = 25
    """Most rounds of pricing."""
    pricing_share: float = 0.4
    """Share of the time left in which pricing ends."""
    milp_s: float = 3.0
    """Most seconds of one MILP over columns."""
    milp_share: float = 0.25
    """The same as a share of the time left."""
    speeds: int = 24
    """Speeds at which a family of replicas is priced at least; its kinds have more..."""
    speeds_of_kinds: int = 400
    """...and so many, shared out among its kinds, if that is more."""
    most_choices: int = 60
    """Choices of parts up to which all of a family are designed, whatever their price."""
    seed_lengths: int = 10
    """Numbers of hosts, from the least that hold the model, of the replicas of one part alone."""
    most_site_sets: int = 16
    """Sets of sites over which replicas are priced."""
    most_parts: int = 64
    """Parts of one host in one family: hosts of several types have many."""
    noisy_rounds: int = 30
    """Most rounds of pricing at prices that chance has changed, for more designs..."""
    noisy_calls: int = 600
    """...with, for starts of other searches, about so many prices of a family on some sites, all
    together: a few tenths of a second of work..."""
    noise: float = 0.5
    """...by at most this share."""
    naming_tries: int = 30
    """Tries at random to put parts on hosts, where neither the fullest nor the emptiest will do."""
    gain: float = 1e-6
    """A column is worth adding if it gains at least this share of its flow."""
    depths: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24)
    """Most stages of a replica in the packings that objectives choose from."""
    grid_stages: int = 2_000
    """Stages of the uniform placements that come to the pool, all together."""
    most_devices: int = 300
    """Devices up to which whole replicas are candidates of plans for any engine: beyond, designs
    take longer than the rest of the search, which has few spare seconds there."""
    free_share: float = 0.1
    """Share of the time left for these."""
    most_star_parts: int = 500
    """Parts of all families with a main part up to which these are among them: on clusters of many
    kinds of hosts there are thousands, and chains in any order are nearly as good."""
    bound_s: float = 5.0
    """Most seconds of the pattern bound on every plan..."""
    bound_share: float = 0.3
    """...or this share of the time left."""


REPLICA_PARAMS = ReplicaParams()
