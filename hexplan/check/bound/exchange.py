"""What hosts and sites can exchange at most: activations over links, trunks and network cards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

from hexplan.check.lookup import Lookup
from hexplan.cluster import Link
from hexplan.constants import MICRO

Sites = tuple[str, str]
"""From one site to another."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Upper limits in 1e-6 tokens/s."""

    received: Mapping[str, int]
    """What each host receives from all others."""
    sent: Mapping[str, int]
    """What each host sends to all others."""
    between: Mapping[Sites, int]
    """What passes from site to site."""

    @classmethod
    def of(cls, lookup: Lookup) -> Exchange:
        """Add up what the links between all pairs of hosts carry."""
        per_token = lookup.fewest_bytes
        into: dict[str, int] = defaultdict(int)
        out: dict[str, int] = defaultdict(int)
        under: dict[tuple[Sites, Link], int] = defaultdict(int)
        for source, target in permutations(lookup.hosts, 2):
            link = lookup.link(source, target)
            if link is None or lookup.forbids(link, is_end=False):
                continue
            width = lookup.activation_bytes(link.compress)
            carried = link.bandwidth_bytes_per_s * MICRO // width
            into[target] += carried
            out[source] += carried
            sites = lookup.hosts[source].site, lookup.hosts[target].site
            under[sites, lookup.over(link)] += link.bandwidth_bytes_per_s
        hosts = lookup.hosts.values()
        return cls(
            received={
                host.name: min(into[host.name], host.nic_in_bytes_per_s * MICRO // per_token)
                for host in hosts
            },
            sent={
                host.name: min(out[host.name], host.nic_out_bytes_per_s * MICRO // per_token)
                for host in hosts
            },
            between=_between(lookup, under, per_token),
        )

    def inward(self, inside: frozenset[str]) -> int:
        """Return what some sites receive from all others."""
        amounts = self.between.items()
        return sum(
            n for (source, target), n in amounts if target in inside and source not in inside
        )

    def outward(self, inside: frozenset[str]) -> int:
        """Return what some sites send to all others."""
        amounts = self.between.items()
        return sum(
            n for (source, target), n in amounts if source in inside and target not in inside
        )


def _between(
    lookup: Lookup, under: Mapping[tuple[Sites, Link], int], per_token: int
) -> dict[Sites, int]:
    """Return what passes from site to site, by links, trunks and network cards."""
    num_bytes: dict[Sites, int] = defaultdict(int)
    for (sites, over), bandwidth in under.items():
        trunk = over.trunk_bytes_per_s
        num_bytes[sites] += bandwidth if trunk is None else min(bandwidth, trunk)
    out: dict[str, int] = defaultdict(int)
    into: dict[str, int] = defaultdict(int)
    for host in lookup.hosts.values():
        out[host.site] += host.nic_out_bytes_per_s
        into[host.site] += host.nic_in_bytes_per_s
    return {
        (source, target): min(amount, out[source], into[target]) * MICRO // per_token
        for (source, target), amount in num_bytes.items()
    }
