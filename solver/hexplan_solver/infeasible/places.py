"""Places: hosts that links treat alike, and the paths that requests can take through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from hexplan.cluster import COORDINATOR, Cluster
from hexplan_solver.infeasible.params import INFEASIBLE_PARAMS, InfeasibleParams
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class PlacePath:
    """Places that one request can pass through, in a path that no longer one contains."""

    hosts: tuple[str, ...]
    """All hosts, in the spec's order."""
    places: tuple[tuple[str, ...], ...]
    """Hosts that links treat alike and that reach each other."""
    is_complete: bool
    """Whether tokens enter and leave at every place, and any two places reach each other."""


def place_paths(problem: Problem, params: InfeasibleParams = INFEASIBLE_PARAMS) -> list[PlacePath]:
    """List the paths of activations from places where tokens enter to places where they leave.

    A route enters where a host can hold the first layer, and leaves where one can hold the last.
    Every route lies within one of the paths. If a path is complete, every chain of its hosts is a
    route. If there are too many paths, one path of all places on any of them is returned instead:
    it is longer than any route, so what is impossible on it is impossible.
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
    chains: dict[tuple[int, ...], None] = {}
    for chain in _chains(dag.subgraph(between), entries, exits):
        chains[tuple(chain)] = None
        if len(chains) > params.max_paths:
            chains = {tuple(between): None}
            break
    longest = [c for c in chains if not any(set(c) < set(other) for other in chains)]
    order = {host.name: i for i, host in enumerate(cluster.hosts)}
    return [_path(graph, [n for node in c for n in members[node]], order) for c in longest]


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


def _path(graph: nx.DiGraph[str], names: list[str], order: dict[str, int]) -> PlacePath:
    places = tuple(tuple(graph.nodes[name]["hosts"]) for name in names)
    hosts = sorted((host for place in places for host in place), key=order.__getitem__)
    inner = graph.subgraph(names)
    are_ends = all(data["is_entry"] and data["is_exit"] for _, data in inner.nodes(data=True))
    are_joined = inner.number_of_edges() == len(names) * (len(names) - 1)
    return PlacePath(tuple(hosts), places, are_ends and are_joined)


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
    """Return a node for each place, and an edge where activations may pass from one to another."""
    named = {end for link in cluster.links for end in (link.source, link.target)}
    unruled = {
        host.site
        for host in cluster.hosts
        if not any((link.source, link.target) == (host.site, host.site) for link in cluster.links)
    }
    graph: nx.DiGraph[str] = nx.DiGraph()
    for host in cluster.hosts:
        is_own = host.name in named or host.site in unruled or _is_cut_off(cluster, host.site)
        # No site has the name of a host, so the two cannot be confused.
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
    """Say whether a rule forbids activations between the hosts of a site."""
    rules = [link for link in cluster.links if (link.source, link.target) == (site, site)]
    return any(link.allow != "all" for link in rules)
