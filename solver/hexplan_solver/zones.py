"""Zones: sites between which links carry little, and what passes from one to the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cluster import COORDINATOR, Cluster, Link
from hexplan.cost import token_bytes
from hexplan.cost.speed import MICRO
from hexplan_solver.problem import Problem

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


def _carried(problem: Problem) -> dict[tuple[str, str], int]:
    """Return what passes from site to site at most, by link rules, trunks and NICs."""
    cluster = problem.spec.cluster
    sites: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for host in cluster.hosts:
        totals = sites[host.site]
        totals[0] += 1
        totals[1] += host.nic_out_bytes_per_s
        totals[2] += host.nic_in_bytes_per_s
    num_bytes: dict[tuple[str, str], int] = defaultdict(int)
    for link in cluster.links:
        (source, sources), (target, targets) = (
            _end(cluster, end, sites) for end in (link.source, link.target)
        )
        if sources and targets and link.allow == "all":
            num_bytes[source, target] += _at_most(link, sources * targets)
    name = cluster.hosts[0].name
    per_token = token_bytes(problem.spec.model, name, name)
    return defaultdict(
        int,
        {
            (a, b): min(amount, sites[a][1], sites[b][2]) * MICRO // per_token
            for (a, b), amount in num_bytes.items()
        },
    )


def _at_most(link: Link, pairs: int) -> int:
    together = link.bandwidth_bytes_per_s * pairs
    return together if link.trunk_bytes_per_s is None else min(together, link.trunk_bytes_per_s)


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
