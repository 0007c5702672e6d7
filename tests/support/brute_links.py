"""The best flow over all placements, links and groups of any devices included.

Shares the cost model with the solver, which the check recomputes, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linprog

from hexplan.cluster import COORDINATOR, Cluster, Coordinator
from hexplan.cost import DeviceShard, ShardSizes, StageShape, kv_room_tokens, stage_speed
from hexplan.field_types import Range
from hexplan.host import Host
from hexplan.spec import Spec

MICRO = 10**6
Group = tuple[int, ...]
"""Devices of one host."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A stage of a trial placement."""

    host: str
    layers: Range
    rate: float
    """In tokens/s."""


def best_linked_flow(spec: Spec, above: float) -> float:
    """Return the largest flow over all placements in tokens/s, or `above` where none is larger.

    Every group holds some layers if it can: a stage more takes no flow away. Without pins.
    """
    best = above
    for placed in placements(spec):
        if _most(spec, placed) > best:
            best = max(best, flow_of(spec, placed))
    return best


def placements(spec: Spec) -> Iterator[list[Holder]]:
    """Yield every placement in which each group of each host that can serve does."""
    speeds = Speeds(spec)
    for way in product(*(groupings(host) for host in spec.cluster.hosts)):
        choices = [
            speeds.stages(host, group)
            for host, groups in zip(spec.cluster.hosts, way, strict=True)
            for group in groups
        ]
        yield from map(list, product(*(stages for stages in choices if stages)))


def groupings(host: Host, loose: Sequence[int] | None = None) -> list[list[Group]]:
    """List the ways to group devices, one of those that differ only by like devices."""
    seen: dict[tuple[tuple[str, ...], ...], list[Group]] = {}
    for groups in _set_partitions(list(range(len(host.devices)) if loose is None else loose)):
        kinds = tuple(sorted(tuple(sorted(host.devices[d] for d in g)) for g in groups))
        seen.setdefault(kinds, groups)
    return list(seen.values())


def _set_partitions(devices: list[int]) -> Iterator[list[Group]]:
    if not devices:
        yield []
        return
    first, *rest = devices
    for groups in _set_partitions(rest):
        yield [(first,), *groups]
        for i, group in enumerate(groups):
            yield [*groups[:i], (first, *group), *groups[i + 1 :]]


class Speeds:
    """What each group of devices passes over each range of layers."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._known: dict[tuple[str, tuple[str, ...]], list[Holder]] = {}

    def stages(self, host: Host, group: Group) -> list[Holder]:
        """List the stages that a group can be."""
        names = tuple(sorted(host.devices[d] for d in group))
        if (host.name, names) not in self._known:
            layers = self._spec.model.layers
            ranges = [(a, b) for a in range(layers) for b in range(a + 1, layers + 1)]
            found = [Holder(host.name, r, self._rate(host, names, r)) for r in ranges]
            self._known[host.name, names] = [stage for stage in found if stage.rate > 0]
        return self._known[host.name, names]

    def _rate(self, host: Host, names: tuple[str, ...], layers: Range) -> float:
        spec, cluster = self._spec, self._spec.cluster
        devices = [cluster.device_type_by_name[name] for name in names]
        shares = [device.memory_bandwidth_bytes_per_s for device in devices]
        model, n = spec.model, len(devices)
        parts = [_cut(total, shares) for total in (model.kv_heads, model.ffn, model.vocab)]
        if n > model.kv_heads and n % model.kv_heads == 0 and model.heads % n == 0:
            parts[0] = [1] * n  # a copy of a KV head each
        sizes = [ShardSizes(*size) for size in zip(*parts, strict=True)]
        if any(size.kv_heads == 0 or size.ffn == 0 for size in sizes):
            return 0.0
        group = tuple(map(DeviceShard, devices, sizes))
        shape = StageShape(layers, group, host.interconnect)
        room = kv_room_tokens(spec, shape)
        if room < spec.workload.max_tokens:
            return 0.0
        speed = stage_speed(spec, shape, room)
        return speed.micro_tokens_per_s / MICRO


def _cut(total: int, shares: Sequence[int]) -> list[int]:
    """Cut a total in proportion to shares, the largest remainders rounded up."""
    whole = sum(shares)
    parts = [total * share // whole for share in shares]
    order = sorted(range(len(shares)), key=lambda i: (-((total * shares[i]) % whole), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


def width(spec: Spec, source: str, target: str) -> float:
    """Return what an edge between two hosts carries in tokens/s; 0 where none is."""
    if source == target:
        wire = spec.cluster.host_by_name[source].interconnect
        bandwidth = wire.bandwidth_bytes_per_s if wire else 0
    else:
        rule = spec.cluster.link(source, target)
        bandwidth = rule.bandwidth_bytes_per_s if rule else 0
    return (bandwidth * MICRO // _token_bytes(spec, source, target)) / MICRO


def _token_bytes(spec: Spec, source: str, target: str) -> int:
    is_outer = COORDINATOR in (source, target)
    return 4 if is_outer else spec.model.hidden * spec.model.dtype_bytes


def _most(spec: Spec, placed: Sequence[Holder]) -> float:
    """Return what no flow of a placement exceeds: what the stages at one layer pass."""
    return min(
        sum(s.rate for s in placed if s.layers[0] <= layer < s.layers[1])
        for layer in range(spec.model.layers)
    )


def flow_of(spec: Spec, placed: Sequence[Holder]) -> float:
    """Return the largest flow of a placement by an LP over its edges."""
    edges = _edges(spec, placed)
    if not edges:
        return 0.0
    rows: list[np.ndarray] = []
    limits: list[float] = []
    for capacity, uses in _capacities(spec, placed, edges):
        row = np.zeros(len(edges))
        for edge, use in uses:
            row[edge] = use / capacity
        rows.append(row)
        limits.append(1.0)
    balance = np.zeros((len(placed), len(edges)))
    for e, (i, j, _) in enumerate(edges):
        if i is not None:
            balance[i, e] -= 1
        if j is not None:
            balance[j, e] += 1
    gain = [-1.0 if j is None else 0.0 for _, j, _ in edges]
    bounds = [(0.0, wide) for _, _, wide in edges]
    found = linprog(
        gain,
        A_ub=np.array(rows),
        b_ub=limits,
        A_eq=balance,
        b_eq=np.zeros(len(placed)),
        bounds=bounds,
        method="highs",
    )
    assert found.status == 0, found.message
    return -float(found.fun or 0.0)


Edge = tuple[int | None, int | None, float]
"""From a stage or entry, to a stage or exit, and what it carries."""


def _edges(spec: Spec, placed: Sequence[Holder]) -> list[Edge]:
    edges: list[Edge] = []
    for i, stage in enumerate(placed):
        if stage.layers[0] == 0:
            edges.append((None, i, width(spec, COORDINATOR, stage.host)))
        if stage.layers[1] == spec.model.layers:
            edges.append((i, None, width(spec, stage.host, COORDINATOR)))
        for j, other in enumerate(placed):
            if other.layers[0] <= stage.layers[1] < other.layers[1]:
                edges.append((i, j, width(spec, stage.host, other.host)))
    return [edge for edge in edges if edge[2] > 0]


def _capacities(
    spec: Spec, placed: Sequence[Holder], edges: Sequence[Edge]
) -> Iterator[tuple[float, list[tuple[int, float]]]]:
    """Yield each stage's, link's, NIC's and trunk's capacity, with what each edge takes of it."""
    for position, stage in enumerate(placed):
        yield stage.rate, [(e, 1.0) for e, edge in enumerate(edges) if edge[1] == position]
    loads: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    capacity: dict[tuple[str, ...], int] = {}
    for e, (i, j, _) in enumerate(edges):
        source = COORDINATOR if i is None else placed[i].host
        target = COORDINATOR if j is None else placed[j].host
        if source == target:
            continue
        for name, room in _shared(spec.cluster, source, target):
            capacity[name] = room
            loads.setdefault(name, []).append((e, float(_token_bytes(spec, source, target))))
    yield from ((float(capacity[name]), uses) for name, uses in loads.items())


def _shared(cluster: Cluster, source: str, target: str) -> Iterator[tuple[tuple[str, ...], int]]:
    ends: dict[str, Coordinator | Host] = {COORDINATOR: cluster.coordinator}
    ends |= cluster.host_by_name
    yield ("out", source), ends[source].nic_out_bytes_per_s
    yield ("in", target), ends[target].nic_in_bytes_per_s
    rule = cluster.link(source, target)
    if rule is not None:
        yield ("pair", source, target), rule.bandwidth_bytes_per_s
    if rule is not None and rule.under is not None:
        (rule,) = (r for r in cluster.links if (r.source, r.target) == rule.under)
    if rule is not None and rule.trunk_bytes_per_s is not None:
        yield ("trunk", rule.source, rule.target), rule.trunk_bytes_per_s
