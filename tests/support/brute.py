"""The best placement by trying every one: groups, ranges, flow. Shares no code with the solver."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import networkx as nx

from hexplan.spec import Spec

MICRO = 10**6


def best_flow(spec: Spec) -> int:
    """Return the largest flow over all placements, in 1e-6 tokens/s.

    For clusters whose speeds are all measured and whose memory never binds.
    """
    table = {
        (p.device, p.tp): [int(rate * MICRO) for rate in p.tokens_per_s]
        for p in spec.cluster.profiles
    }
    best = 0
    ways = [list(_groupings(list(host.devices))) for host in spec.cluster.hosts]
    for way in product(*ways):
        stages = [
            (host.name, table.get((group[0], len(group)), []))
            for host, groups in zip(spec.cluster.hosts, way, strict=True)
            for group in groups
        ]
        for ranges in product(*(_ranges(spec.model.layers, rates) for _, rates in stages)):
            placed = [
                (name, r, rates[r[1] - r[0] - 1])
                for (name, rates), r in zip(stages, ranges, strict=True)
                if r is not None
            ]
            if _least_covered(placed, spec.model.layers) > best:
                best = max(best, flow_of(spec, placed))
    return best


def _groupings(devices: list[str]) -> Iterator[list[list[str]]]:
    """Yield the ways to group devices of one type, larger groups first; others stay single."""
    if len(set(devices)) > 1:
        yield [[device] for device in devices]
        return
    for sizes in _sums(len(devices), len(devices)):
        yield [[devices[0]] * size for size in sizes]


def _sums(total: int, largest: int) -> Iterator[list[int]]:
    if total == 0:
        yield []
    for size in range(min(total, largest), 0, -1):
        for rest in _sums(total - size, size):
            yield [size, *rest]


def _ranges(layers: int, rates: list[int]) -> list[tuple[int, int] | None]:
    fits = [
        (first, first + k)
        for k in range(1, min(layers, len(rates)) + 1)
        for first in range(layers - k + 1)
    ]
    return [None, *fits]


def _least_covered(placed: list[tuple[str, tuple[int, int], int]], layers: int) -> int:
    return min(
        sum(rate for _, (first, end), rate in placed if first <= layer < end)
        for layer in range(layers)
    )


def flow_of(spec: Spec, placed: list[tuple[str, tuple[int, int], int]]) -> int:
    """Return the max flow of placed (host, layers, rate) stages by networkx, NICs ignored."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["in", "out"])
    wide = spec.model.hidden * spec.model.dtype_bytes

    def room(source: str, target: str, token_bytes: int) -> int:
        rule = spec.cluster.link(source, target)
        return 0 if rule is None else rule.bandwidth_bytes_per_s * MICRO // token_bytes

    for i, (name, (first, end), rate) in enumerate(placed):
        graph.add_edge(("a", i), ("b", i), capacity=rate)
        if first == 0:
            graph.add_edge("in", ("a", i), capacity=room("coordinator", name, 4))
        if end == spec.model.layers:
            graph.add_edge(("b", i), "out", capacity=room(name, "coordinator", 4))
        for j, (other, (start, stop), _) in enumerate(placed):
            if start <= end < stop:
                capacity = rate if other == name else room(name, other, wide)
                graph.add_edge(("b", i), ("a", j), capacity=capacity)
    return int(nx.maximum_flow_value(graph, "in", "out"))
