"""Chains: single pipelines in which a request alone takes little time, the fastest first.

A stage takes a time for each layer, and one for being a hop. So in a fast chain the fastest stages
hold as many layers as they can, and one stage the rest: a chain is a set of stages. Sets are
searched best first (A*), with the fastest stage not yet in the set for all layers that are left as
the bound.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, islice, pairwise, permutations

from hexplan.cluster import COORDINATOR
from hexplan.field_types import Range
from hexplan_solver.objectives.latency.crossing import crossing_of
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.stations import station_of
from hexplan_solver.objectives.latency.stock import HostStock, Stocks
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, StageKind


@dataclass(frozen=True, slots=True)
class _Offer:
    """A kind of stage as a part of a chain."""

    kind: StageKind
    most: int
    """Layers that it may hold, wherever they lie."""
    hop_s: float
    """Seconds that it adds to a request, whatever it holds."""
    layer_s: float
    """Seconds that each of its layers adds."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A stage of a chain whose order is still open."""

    kind: StageKind
    host: str
    devices: tuple[int, ...]
    num_layers: int


@dataclass(frozen=True, slots=True)
class _Node:
    """A set of stages, and what is left of the hosts that they stand on."""

    cost_s: float
    left: int
    """Layers that no stage holds yet."""
    last: int
    """Position of the last stage's offer: later stages are no faster."""
    parts: tuple[_Part, ...]
    touched: dict[str, HostStock]


class ChainSearch:
    """Finds chains for requests that come at one rate."""

    def __init__(self, problem: Problem, floor: int) -> None:
        """Consider stages that pass `floor`, in 1e-6 tokens/s, at least."""
        self._problem = problem
        self._known: dict[tuple[str, str], float] = {}
        self._alone: dict[tuple[int, Range], float] = {}
        self._output = problem.spec.workload.output_tokens.mean
        offers = [self._offer(kind, max(1, floor)) for kind in problem.kinds]
        self._offers = sorted(
            (offer for offer in offers if offer is not None),
            key=lambda offer: (offer.layer_s, offer.hop_s, offer.kind.index),
        )
        hops = [offer.hop_s for offer in self._offers]
        self._least_hop_s = list(accumulate(reversed(hops), min))[::-1]

    def fastest(self, stocks: Stocks) -> Iterator[tuple[PlacedStage, ...]]:
        """Yield some chains from what is left of the hosts, about the fastest first."""
        similar: dict[int, dict[object, list[str]]] = defaultdict(lambda: defaultdict(list))
        for index, host_class in enumerate(self._problem.classes):
            for host in host_class.hosts:
                similar[index][stocks[host].signature].append(host)
        order = count()
        start = _Node(0.0, self._problem.num_layers, 0, (), {})
        queue = [(0.0, next(order), start)]
        found = 0
        for _ in range(LATENCY_PARAMS.chain_steps):
            if not queue or found >= LATENCY_PARAMS.chains:
                return
            _, _, node = heapq.heappop(queue)
            if not node.left:
                chain = self._arranged(node.parts)
                if chain is not None:
                    found += 1
                    yield chain
                continue
            for child in self._children(node, stocks, similar):
                heapq.heappush(queue, (self._bound(child), next(order), child))

    def _offer(self, kind: StageKind, floor: int) -> _Offer | None:
        most = _most_layers(kind, floor)
        if not most:
            return None
        one_s, most_s = self._alone_s(kind, 1), self._alone_s(kind, most)
        layer_s = (most_s - one_s) / (most - 1) if most > 1 else one_s
        return _Offer(kind, most, max(0.0, most_s - most * layer_s), layer_s)

    def _alone_s(self, kind: StageKind, num_layers: int) -> float:
        """Return the seconds that a stage adds to a request that has it to itself."""
        layers = _middle(num_layers, self._problem.num_layers)
        host = self._problem.classes[kind.host_class].hosts[0]
        return self._stage_s(PlacedStage(layers, host, (), kind.index, kind.rates.of(*layers)))

    def _stage_s(self, stage: PlacedStage) -> float:
        key = stage.kind, stage.layers
        if key not in self._alone:
            station = station_of(self._problem, stage).station
            self._alone[key] = station.prompt_s + (self._output - 1) * station.alone_s
        return self._alone[key]

    def _bound(self, node: _Node) -> float:
        """Return what every chain takes that has these stages."""
        if not node.left:
            return node.cost_s
        layer_s = self._offers[node.last].layer_s
        return node.cost_s + self._least_hop_s[node.last] + layer_s * node.left

    def _children(
        self, node: _Node, stocks: Stocks, similar: dict[int, dict[object, list[str]]]
    ) -> Iterator[_Node]:
        for position in range(node.last, len(self._offers)):
            offer = self._offers[position]
            num_layers = min(offer.most, node.left)
            for host in self._hosts(node, offer, stocks, similar[offer.kind.host_class]):
                stock = node.touched.get(host, stocks[host])
                devices = stock.take(offer.kind.group)
                way_s = self._way_s(node, host)
                if devices is None or way_s is None:
                    continue
                yield _Node(
                    node.cost_s + offer.hop_s + offer.layer_s * num_layers + way_s,
                    node.left - num_layers,
                    position,
                    (*node.parts, _Part(offer.kind, host, devices, num_layers)),
                    node.touched | {host: stock.without(devices)},
                )

    def _hosts(
        self, node: _Node, offer: _Offer, stocks: Stocks, similar: dict[object, list[str]]
    ) -> Iterator[str]:
        """Yield a host of the chain, for which there is no new hop, or else one of each kind."""
        members = self._problem.classes[offer.kind.host_class].hosts
        for host, stock in node.touched.items():
            if host in members and stock.take(offer.kind.group) is not None:
                yield host
                return
        for hosts in similar.values():
            if stocks[hosts[0]].take(offer.kind.group) is not None:
                yield from islice((host for host in hosts if host not in node.touched), 1)

    def _way_s(self, node: _Node, host: str) -> float | None:
        """Return what the links to one more stage add, from the nearest host of the chain."""
        if not node.parts:
            ways = [self._cross_s(COORDINATOR, host), self._cross_s(host, COORDINATOR)]
            return None if None in ways else sum(way for way in ways if way is not None)
        ways = [self._cross_s(other, host) for other in node.touched]
        return min((way for way in ways if way is not None), default=None)

    def _cross_s(self, source: str, target: str) -> float | None:
        ends = source, target
        if ends not in self._known:
            crossing = crossing_of(self._problem.spec, *ends)
            self._known[ends] = -1.0 if crossing is None else crossing.request_s(self._output)
        known = self._known[ends]
        return None if known < 0 else known

    def _arranged(self, parts: Sequence[_Part]) -> tuple[PlacedStage, ...] | None:
        """Order the stages so that a request takes least time; None where links are missing."""
        best: tuple[float, tuple[PlacedStage, ...]] | None = None
        for ordered in self._orders(parts):
            stages = _in_a_row(ordered)
            hosts = (COORDINATOR, *(stage.host for stage in stages), COORDINATOR)
            ways = [self._cross_s(*pair) for pair in pairwise(hosts)]
            if None in ways or not all(stage.rate for stage in stages):
                continue
            total_s = sum(way for way in ways if way is not None)
            total_s += sum(self._stage_s(stage) for stage in stages)
            if best is None or total_s < best[0]:
                best = total_s, stages
        return None if best is None else best[1]

    def _orders(self, parts: Sequence[_Part]) -> Iterator[Sequence[_Part]]:
        """Yield orders of stages: every one of a few stages, else those of hosts or of sites.

        In the latter, the fastest stage of a host comes last, since the last one has the head.
        """
        if len(parts) <= LATENCY_PARAMS.permuted:
            yield from permutations(parts)
            return
        site_of = self._problem.spec.cluster.site_of
        by_host: dict[str, list[_Part]] = defaultdict(list)
        by_site: dict[str, list[str]] = defaultdict(list)
        for part in reversed(parts):
            by_host[part.host].append(part)
        for host in by_host:
            by_site[site_of(host)].append(host)
        blocks = list(by_site.values())
        if len(by_host) <= LATENCY_PARAMS.permuted:
            blocks = [[host] for host in by_host]
        few, rest = blocks[: LATENCY_PARAMS.permuted], blocks[LATENCY_PARAMS.permuted :]
        for order in permutations(few):
            yield [part for block in (*order, *rest) for host in block for part in by_host[host]]


def _in_a_row(parts: Sequence[_Part]) -> tuple[PlacedStage, ...]:
    """Give the stages their layers, from the first on; a rate is 0 where the ends do not fit."""
    ends = accumulate((part.num_layers for part in parts), initial=0)
    return tuple(
        PlacedStage(layers, part.host, part.devices, part.kind.index, part.kind.rates.of(*layers))
        for part, layers in zip(parts, pairwise(ends), strict=True)
    )


def _most_layers(kind: StageKind, floor: int) -> int:
    """Return how many layers a stage holds at least at a speed, wherever they lie."""
    rates, total = kind.rates, kind.rates.num_layers
    if rates.of(0, total) >= floor:
        return total
    most = 0
    for k in range(1, total):
        places = {(0, k), (total - k, total), _middle(k, total)}
        if min(rates.of(*layers) for layers in places) < floor:
            break
        most = k
    return most


def _middle(num_layers: int, total: int) -> Range:
    """Return a range of layers without the first and the last, where that is possible."""
    first = 1 if num_layers + 1 < total else 0
    return first, first + num_layers
