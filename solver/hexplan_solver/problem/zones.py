"""Zones: sites between which links carry little, and what passes from one to the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO
from hexplan.cost import token_bytes
from hexplan_solver.problem.problem import Problem

AMPLE = 2
"""Sites that can exchange so many times the flow, both ways, are one zone."""


@dataclass(frozen=True, slots=True)
class Zone:
    """Hosts that exchange activations as they like, and what the rest of the world sends them."""

    hosts: tuple[str, ...]
    inward: int
    """What all other zones together can send in, in 1e-6 tokens/s."""
    outward: int
    """What all other zones together can receive, in 1e-6 tokens/s."""


def zones_of(problem: Problem, flow: int) -> list[Zone]:
    """Group the sites into zones for a flow in 1e-6 tokens/s."""
    cluster = problem.spec.cluster
    carried = _carried(problem)
    members: dict[str, list[str]] = defaultdict(list)
    for host in cluster.hosts:
        members[host.site].append(host.name)
    joined = {
        site: {o for o in members if min(carried[site, o], carried[o, site]) >= AMPLE * flow}
        for site in members
    }
    zones = []
    for sites in _components(joined):
        outside = [site for site in members if site not in sites]
        inward = sum(carried[a, b] for a in outside for b in sites)
        outward = sum(carried[a, b] for a in sites for b in outside)
        hosts = tuple(h.name for h in cluster.hosts if h.site in sites)
        zones.append(Zone(hosts, inward, outward))
    return zones


def carried_between(problem: Problem, zones: Sequence[Zone]) -> dict[tuple[int, int], int]:
    """Return what passes from one zone to another at most, by their positions; all zones differ."""
    site_of, carried = problem.spec.cluster.site_of, _carried(problem)
    sites = [dict.fromkeys(site_of(host) for host in zone.hosts) for zone in zones]
    return {
        (i, j): sum(carried[a, b] for a in sites[i] for b in sites[j])
        for i, j in permutations(range(len(zones)), 2)
    }


def _carried(problem: Problem) -> dict[tuple[str, str], int]:
    """Return what passes from site to site at most, by link rules, trunks and NICs."""
    cluster = problem.spec.cluster
    sites: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for host in cluster.hosts:
        totals = sites[host.site]
        totals[0] += 1
        totals[1] += host.nic_out_bytes_per_s
        totals[2] += host.nic_in_bytes_per_s
    num_pairs = _num_pairs(cluster, sites)
    together: dict[tuple[str, str], int] = defaultdict(int)
    for link in cluster.links:
        over = cluster.over(link)
        if over.allow == "all":
            pairs = num_pairs[link.source, link.target]
            together[over.source, over.target] += link.bandwidth_bytes_per_s * pairs
    num_bytes: dict[tuple[str, str], int] = defaultdict(int)
    for over in cluster.links:
        trunk = over.trunk_bytes_per_s
        amount = together[over.source, over.target]
        ends = _end(cluster, over.source, sites)[0], _end(cluster, over.target, sites)[0]
        num_bytes[ends] += amount if trunk is None else min(amount, trunk)
    name = cluster.hosts[0].name
    per_token = token_bytes(problem.spec.model, name, name)
    return defaultdict(
        int,
        {
            (a, b): min(amount, sites[a][1], sites[b][2]) * MICRO // per_token
            for (a, b), amount in num_bytes.items()
        },
    )


def _num_pairs(cluster: Cluster, sites: dict[str, list[int]]) -> dict[tuple[str, str], int]:
    """Return how many pairs of hosts each rule governs, at most.

    Pairs with a rule of their own are not counted for the rule that would govern them otherwise.
    """
    ends = {(link.source, link.target) for link in cluster.links}
    found = {
        pair: _end(cluster, pair[0], sites)[1] * _end(cluster, pair[1], sites)[1] for pair in ends
    }
    hosts = cluster.host_by_name
    for source, target in ends:
        if source in hosts and target in hosts:
            there = hosts[source].site, hosts[target].site
            for other in ((source, there[1]), (there[0], target), there):
                if other in ends:
                    found[other] -= 1
                    break
    return found


def _end(cluster: Cluster, end: str, sites: dict[str, list[int]]) -> tuple[str, int]:
    """Return the site that an end of a rule lies in, and how many hosts it names there."""
    if end == COORDINATOR:
        return cluster.coordinator.site, 0
    if end in cluster.host_by_name:
        return cluster.host_by_name[end].site, 1
    return end, sites[end][0] if end in sites else 0


def _components(joined: dict[str, set[str]]) -> list[Sequence[str]]:
    found: list[Sequence[str]] = []
    seen: set[str] = set()
    for site in joined:
        if site in seen:
            continue
        component = [site]
        seen.add(site)
        for member in component:
            new = [other for other in joined if other in joined[member] and other not in seen]
            seen.update(new)
            component += new
        found.append(component)
    return found
