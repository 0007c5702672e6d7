"""Zones: groups of sites between which links carry little, and how much passes between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import networkx as nx

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO
from hexplan.cost import fewest_token_bytes
from hexplan_solver.problem.params import PROBLEM_PARAMS, ProblemParams
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class Zone:
    """Hosts that exchange activations freely, and what all other hosts can exchange with them."""

    hosts: tuple[str, ...]
    inward: int
    """Most that all other zones together can send in, in 1e-6 tokens/s."""
    outward: int
    """Most that all other zones together can receive, in 1e-6 tokens/s."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What may limit a flow between hosts, whatever the placement; it decides how to search."""

    has_trunks: bool
    """Whether hosts share trunks."""
    zones: tuple[Zone, ...]
    """Groups of sites between which links carry little, compared with the flow."""

    @property
    def is_zoned(self) -> bool:
        """Whether there are several zones: then it matters how much passes between them."""
        return len(self.zones) > 1


def hosts_by_site(cluster: Cluster) -> list[tuple[str, ...]]:
    """Return the names of the hosts of each site, in the order of the spec."""
    found: dict[str, list[str]] = defaultdict(list)
    for host in cluster.hosts:
        found[host.site].append(host.name)
    return [tuple(names) for names in found.values()]


def link_limits(problem: Problem, flow: int) -> LinkLimits:
    """Say what the links may limit of a flow in 1e-6 tokens/s."""
    return LinkLimits(problem.has_trunks, tuple(zones_of(problem, flow)))


def zones_of(problem: Problem, flow: int, params: ProblemParams = PROBLEM_PARAMS) -> list[Zone]:
    """Group the sites into zones for a flow in 1e-6 tokens/s."""
    cluster = problem.spec.cluster
    capacity = _site_capacities(problem)
    ample = params.ample_exchange * flow
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(dict.fromkeys(host.site for host in cluster.hosts))
    graph.add_edges_from(
        (a, b)
        for a, b in permutations(graph.nodes, 2)
        if min(capacity[a, b], capacity[b, a]) >= ample
    )
    zones = []
    for sites in nx.connected_components(graph):
        others = [site for site in graph.nodes if site not in sites]
        inward = sum(capacity[a, b] for a in others for b in sites)
        outward = sum(capacity[a, b] for a in sites for b in others)
        hosts = tuple(h.name for h in cluster.hosts if h.site in sites)
        zones.append(Zone(hosts, inward, outward))
    return zones


def zone_capacities(problem: Problem, zones: Sequence[Zone]) -> dict[tuple[int, int], int]:
    """Return the most that passes from zone to zone, by their positions, in 1e-6 tokens/s."""
    site_of, capacity = problem.spec.cluster.site_of, _site_capacities(problem)
    sites = [dict.fromkeys(site_of(host) for host in zone.hosts) for zone in zones]
    return {
        (i, j): sum(capacity[a, b] for a in sites[i] for b in sites[j])
        for i, j in permutations(range(len(zones)), 2)
    }


@dataclass(slots=True)
class _SiteTotals:
    num_hosts: int = 0
    nic_out_bytes_per_s: int = 0
    nic_in_bytes_per_s: int = 0


def _site_capacities(problem: Problem) -> dict[tuple[str, str], int]:
    """Return the most that passes from site to site, by link rules, trunks and NICs."""
    cluster = problem.spec.cluster
    sites: dict[str, _SiteTotals] = defaultdict(_SiteTotals)
    for host in cluster.hosts:
        totals = sites[host.site]
        totals.num_hosts += 1
        totals.nic_out_bytes_per_s += host.nic_out_bytes_per_s
        totals.nic_in_bytes_per_s += host.nic_in_bytes_per_s
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
    per_token = fewest_token_bytes(cluster, problem.spec.model)
    return defaultdict(
        int,
        {
            (a, b): MICRO
            * min(amount, sites[a].nic_out_bytes_per_s, sites[b].nic_in_bytes_per_s)
            // per_token
            for (a, b), amount in num_bytes.items()
        },
    )


def _num_pairs(cluster: Cluster, sites: dict[str, _SiteTotals]) -> dict[tuple[str, str], int]:
    """Return the most pairs of hosts that each rule governs.

    Pairs with a rule of their own are not counted for the rule that would govern them otherwise.
    """
    ends = {(link.source, link.target) for link in cluster.links}
    num_pairs = {
        pair: _end(cluster, pair[0], sites)[1] * _end(cluster, pair[1], sites)[1] for pair in ends
    }
    hosts = cluster.host_by_name
    for source, target in ends:
        if source in hosts and target in hosts:
            there = hosts[source].site, hosts[target].site
            for other in ((source, there[1]), (there[0], target), there):
                if other in ends:
                    num_pairs[other] -= 1
                    break
    return num_pairs


def _end(cluster: Cluster, end: str, sites: dict[str, _SiteTotals]) -> tuple[str, int]:
    """Return the site of one end of a rule, and how many hosts it names there."""
    if end == COORDINATOR:
        return cluster.coordinator.site, 0
    if end in cluster.host_by_name:
        return cluster.host_by_name[end].site, 1
    return end, sites[end].num_hosts if end in sites else 0
