"""The crossing bound (docs/formulation.md 8): the work of hosts that pass no more than a cap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hexplan.bound_proof import CrossingProof
from hexplan.check.bound import rules
from hexplan.check.bound.exchange import Exchange
from hexplan.check.bound.supply import ShapeSupply
from hexplan.check.bound.work import largest_flow, work_bound
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Violation
from hexplan.constants import CROSSING_HOSTS


def crossing_obstacles(lookup: Lookup, proof: CrossingProof) -> Iterator[Violation]:
    """Yield sites that the cluster does not have or that are in two zones, and too many hosts."""
    yield from misplaced_sites(lookup, proof.zones)
    if len(lookup.hosts) > CROSSING_HOSTS:
        message = f"the cluster has {len(lookup.hosts)} hosts, needed at most {CROSSING_HOSTS}"
        yield rules.BOUND_NOT_PROVED.at("certificate, proof", message)


def misplaced_sites(lookup: Lookup, zones: Sequence[Sequence[str]]) -> Iterator[Violation]:
    """Yield sites of zones that the cluster does not have, or that are in two zones."""
    known = {host.site for host in lookup.hosts.values()}
    listed = Counter(site for zone in zones for site in zone)
    for site, count in listed.items():
        if site not in known:
            yield rules.PROOF_MISPLACED.at("certificate, zones", f"no host is at a site {site}")
        if count > 1:
            yield rules.PROOF_MISPLACED.at(
                "certificate, zones", f"site {site} is listed {count} times"
            )


def crossing_bound(lookup: Lookup, supply: Sequence[ShapeSupply], proof: CrossingProof) -> int:
    """Return the largest flow for which hosts under their caps can do the work of all layers.

    No host passes more at any layer than it serves alone, receives and sends; nor does a zone.
    """
    layers, exchange = lookup.plan.model.layers, Exchange.of(lookup)
    caps: dict[str, int] = {}
    for each in supply:
        alone = largest_flow(each.work, layers)
        for name in each.hosts:
            caps[name] = alone + exchange.received[name] + exchange.sent[name]
    for zone in map(frozenset, proof.zones):
        inside = [within(lookup, each, zone) for each in supply]
        cap = work_bound(inside, layers) + exchange.inward(zone) + exchange.outward(zone)
        caps |= {name: min(caps[name], cap) for each in inside for name in each.hosts}
    alike = Counter((index, caps[name]) for index, each in enumerate(supply) for name in each.hosts)

    def work(flow: int) -> int:
        return sum(
            count * supply[index].work(min(flow, cap)) for (index, cap), count in alike.items()
        )

    return largest_flow(work, layers)


def within(lookup: Lookup, each: ShapeSupply, zone: frozenset[str]) -> ShapeSupply:
    """Return the hosts of a shape that are at the sites of a zone."""
    return replace(each, hosts=tuple(n for n in each.hosts if lookup.hosts[n].site in zone))
