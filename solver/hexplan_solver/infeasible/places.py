"""Places: hosts that links treat alike, and the ways that requests can take through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from hexplan.cluster import COORDINATOR, Cluster
from hexplan_solver.problem.problem import Problem

MAX_WAYS = 200
"""With more ways than this, all places that lie on any of them are taken together."""


@dataclass(frozen=True, slots=True)
class Way:
    """Places that one request can pass; each is left out of no longer way."""

    hosts: tuple[str, ...]
    """All hosts, in the spec's order."""
    places: tuple[tuple[str, ...], ...]
    """Hosts that links treat alike and that reach each other."""
    is_complete: bool
    """Whether tokens enter and leave everywhere, and every two places reach each other."""


def ways_of(problem: Problem) -> list[Way]:
    """List the ways of activations from hosts where tokens enter to hosts where they leave.

    Every route lies within one of them. Where a way is complete, every chain of its hosts is one.
    A route enters where a host can hold the first layer, and leaves where one can hold the last.
    """
    cluster = problem.spec.cluster
    graph = _graph(cluster)
    dag = nx.condensation(graph)
    members = {node: sorted(data["members"]) for node, data in dag.nodes(data=True)}
    entries, exits = (
        [
            node
            for node, names in members.items()
            if any(graph.nodes[n][end] and able & set(graph.nodes[n]["hosts"]) for n in names)
        ]
        for end, able in zip(("is_entry", "is_exit"), hosts_at_the_ends(problem), strict=True)
    )
    between = _between(dag, entries, exits)
    found: dict[tuple[int, ...], None] = {}
    for chain in _chains(dag.subgraph(between), entries, exits):
        found[tuple(chain)] = None
        if len(found) > MAX_WAYS:
            found = {tuple(between): None}
            break
    longest = [c for c in found if not any(set(c) < set(other) for other in found)]
    order = {host.name: i for i, host in enumerate(cluster.hosts)}
    return [_way(graph, [n for node in c for n in members[node]], order) for c in longest]


def hosts_at_the_ends(problem: Problem) -> tuple[set[str], set[str]]:
    """Return the hosts that can hold the first layer, and those that can hold the last."""
    first: set[str] = set()
    last: set[str] = set()
    for kind in problem.kinds:
        hosts = problem.classes[kind.host_class].hosts
        ranges = kind.ranges()
        first.update(hosts if any(start == 0 for start, _ in ranges) else ())
        last.update(hosts if any(end == problem.num_layers for _, end in ranges) else ())
    return first, last


def _way(graph: nx.DiGraph[str], names: list[str], order: dict[str, int]) -> Way:
    places = tuple(tuple(graph.nodes[name]["hosts"]) for name in names)
    hosts = sorted((host for place in places for host in place), key=order.__getitem__)
    inner = graph.subgraph(names)
    are_ends = all(data["is_entry"] and data["is_exit"] for _, data in inner.nodes(data=True))
    are_joined = inner.number_of_edges() == len(names) * (len(names) - 1)
    return Way(tuple(hosts), places, are_ends and are_joined)


def _chains(dag: nx.DiGraph[int], entries: list[int], exits: list[int]) -> Iterator[list[int]]:
    for source in entries:
        if source in exits:
            yield [source]
        targets = [node for node in exits if node != source and node in dag]
        if source in dag and targets:
            yield from nx.all_simple_paths(dag, source, targets)


def _between(dag: nx.DiGraph[int], entries: list[int], exits: list[int]) -> list[int]:
    after = set(entries).union(*(nx.descendants(dag, node) for node in entries))
    before = set(exits).union(*(nx.ancestors(dag, node) for node in exits))
    return [node for node in nx.topological_sort(dag) if node in after & before]


def _graph(cluster: Cluster) -> nx.DiGraph[str]:
    """Join the places between whose hosts activations may pass."""
    named = {end for link in cluster.links for end in (link.source, link.target)}
    lonely = {
        host.site
        for host in cluster.hosts
        if not any((link.source, link.target) == (host.site, host.site) for link in cluster.links)
    }
    graph: nx.DiGraph[str] = nx.DiGraph()
    for host in cluster.hosts:
        is_own = host.name in named or host.site in lonely or _is_cut_off(cluster, host.site)
        # A site's name is no host's name, so neither can hide the other.
        place = host.name if is_own else host.site
        if place not in graph:
            ends = {"is_entry": (COORDINATOR, host.name), "is_exit": (host.name, COORDINATOR)}
            found = {end: cluster.link(*pair) is not None for end, pair in ends.items()}
            graph.add_node(place, hosts=[], **found)
        graph.nodes[place]["hosts"].append(host.name)
    first = {place: data["hosts"][0] for place, data in graph.nodes(data=True)}
    for source, a in first.items():
        for target, b in first.items():
            if source != target and cluster.link(a, b) is not None:
                graph.add_edge(source, target)
    return graph


def _is_cut_off(cluster: Cluster, site: str) -> bool:
    """Say whether the hosts of a site may not send each other activations."""
    rules = [link for link in cluster.links if (link.source, link.target) == (site, site)]
    return any(link.allow != "all" for link in rules)
