"""The largest flow of placements with many arcs, by the LP over a part of them (`arc_columns`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from math import ceil

import numpy as np

from hexplan.constants import MICRO
from hexplan.plan import EXIT, CutTerm
from hexplan_solver.flow.arc_columns import ArcColumns, ArcFlows, flow_highs
from hexplan_solver.flow.arcs import ArcArrays, StageArrays, arcs_between
from hexplan_solver.flow.link_arrays import Floats, LinkArrays
from hexplan_solver.flow.network import OUTSIDE, Network, stage_name
from hexplan_solver.flow.params import FLOW_PARAMS, FlowParams
from hexplan_solver.flow.partial_paths import PartialPath, completed_paths
from hexplan_solver.flow.prices import Priced, price_terms, priced_stages
from hexplan_solver.flow.residual import Residual
from hexplan_solver.flow.routes import Flow, Path


def large_flow(network: Network, params: FlowParams = FLOW_PARAMS) -> Flow | None:
    """Return a largest flow, or None where there are few arcs or the LP fails."""
    if _num_meetings(network) <= params.dense_arcs:
        return None
    links = LinkArrays(network.spec)
    stages = _arrays(network, links)
    arcs = arcs_between(stages, network.spec.model.layers, links)
    if not arcs.tail.size:
        return None
    found = ArcColumns(stages, arcs, links, flow_highs(), params).solve()
    if found is None or found.value <= 0:
        return None
    paths = _paths(network, _amounts(stages, arcs, found))
    value = sum(path.amount for path in paths)
    if value < found.value * MICRO * (1 - params.may_lose):
        return None
    return Flow(value, paths, _Cut(network, stages, arcs, links).terms(found))


def _num_meetings(network: Network) -> int:
    """Count the pairs of stages of which the second holds the layer where the first ends."""
    total = network.spec.model.layers
    holders = [0] * (total + 1)
    for stage in network.stages:
        for layer in range(*stage.layers):
            holders[layer] += 1
    return sum(holders[stage.layers[1]] for stage in network.stages)


def _arrays(network: Network, links: LinkArrays) -> StageArrays:
    stages = network.stages
    return StageArrays(
        np.array([links.position[stage.host] for stage in stages], dtype=np.int64),
        np.array([stage.layers[0] for stage in stages], dtype=np.int64),
        np.array([stage.layers[1] for stage in stages], dtype=np.int64),
        np.array([stage.rate / MICRO for stage in stages]),
    )


def _amounts(
    stages: StageArrays, arcs: ArcArrays, found: ArcFlows
) -> dict[int, list[tuple[int, int]]]:
    """Return the targets of each stage, with amounts in 1e-6 tokens/s, rounded up."""
    amounts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for arc, flow in zip(found.arcs.tolist(), found.flows.tolist(), strict=True):
        if flow > 0:
            tail, head = int(arcs.tail[arc]), int(arcs.head[arc])
            source = OUTSIDE if tail == stages.size else tail
            target = OUTSIDE if head == stages.size else head
            amounts[source].append((ceil(flow * MICRO), target))
    return amounts


def _paths(network: Network, amounts: Mapping[int, list[tuple[int, int]]]) -> tuple[Path, ...]:
    """Lead a flow through the stages, the largest amounts first, so that few paths are split.

    What capacities do not allow after rounding stays behind.
    """
    residual = Residual(network)
    inside: dict[int, list[PartialPath]] = defaultdict(list)
    for amount, target in sorted(amounts[OUTSIDE]):
        taken = residual.take(amount, OUTSIDE, target)
        start = PartialPath(taken, OUTSIDE, None)
        inside[target].append(PartialPath(taken, target, start))
    arrived: list[PartialPath] = []
    for stage in sorted(range(len(network.stages)), key=lambda i: network.stages[i].layers[1]):
        leaving = sorted(inside.pop(stage, ()), key=lambda path: path.amount)
        for amount, target in sorted(amounts.get(stage, ()), reverse=True):
            wanted = residual.take(amount, stage, target)
            while leaving and wanted:
                path = leaving.pop()
                part = path.part(min(path.amount, wanted))
                wanted -= part.amount
                if part.amount < path.amount:
                    leaving.append(path.part(path.amount - part.amount))
                if target == OUTSIDE:
                    arrived.append(part)
                else:
                    inside[target].append(PartialPath(part.amount, target, part))
    return completed_paths(path for path in arrived if path.amount)


class _Cut:
    """The prices of an LP over a part of the arcs, which hold for all of them."""

    def __init__(
        self, network: Network, stages: StageArrays, arcs: ArcArrays, links: LinkArrays
    ) -> None:
        self._network, self._stages, self._arcs, self._links = network, stages, arcs, links

    def terms(self, found: ArcFlows) -> tuple[CutTerm, ...]:
        """Return the prices, under which the cheapest route pays at least 1."""
        priced = priced_stages(self._network, found.stage_prices.tolist())
        numbers: dict[str, int] = {}
        for index, price in zip(found.shared.tolist(), found.shared_prices.tolist(), strict=True):
            shared = self._links.capacity_of(index)
            numbers[shared.name] = index
            limit = shared.bytes_per_s
            priced.append(Priced(shared.name, price / limit, Decimal(limit)))
        full: dict[str, int] = {}
        for arc, price in zip(found.arcs.tolist(), found.arc_prices.tolist(), strict=True):
            if price > 0:
                name, capacity = self._link_of(arc)
                full[name] = arc
                priced.append(Priced(name, price, Decimal(capacity) / MICRO))

        def cheapest(prices: Mapping[str, float]) -> float:
            stage_prices = [prices[f"stage:{stage_name(i)}"] for i in range(self._stages.size)]
            of_shared = {number: prices[name] for name, number in numbers.items()}
            tolls = self._tolls(of_shared)
            for name, arc in full.items():
                tolls[arc] += prices[name]
            return self._cheapest_route(np.array(stage_prices), tolls)

        return price_terms(priced, cheapest)

    def _link_of(self, arc: int) -> tuple[str, int]:
        """Return the name of an arc's own capacity, and that in 1e-6 tokens/s."""
        size, tail, head = self._stages.size, int(self._arcs.tail[arc]), int(self._arcs.head[arc])
        source, target = (OUTSIDE if end == size else end for end in (tail, head))
        found = self._network.arc(source, target)
        name = f"link:{stage_name(source)}>{stage_name(target, EXIT)}"
        return name, found.capacity if found is not None else 0

    def _tolls(self, of_shared: Mapping[int, float]) -> Floats:
        """Return what a token pays for the shared capacities on each arc."""
        shared = self._arcs.shared
        used, rows = np.unique(shared, return_inverse=True)
        by_row = np.array([of_shared.get(index, 0.0) for index in used.tolist()])
        paid: Floats = by_row[rows.reshape(shared.shape)].sum(axis=1) * self._arcs.token_bytes
        return paid

    def _cheapest_route(self, stage_prices: Floats, tolls: Floats) -> float:
        """Return what the cheapest route from entry to exit pays for a token."""
        size, arcs = self._stages.size, self._arcs
        paid = np.full(size + 1, np.inf)
        entry = arcs.tail == size
        np.minimum.at(paid, arcs.head[entry], tolls[entry] + stage_prices[arcs.head[entry]])
        prices = np.append(stage_prices, 0.0)
        end = np.append(self._stages.end, 0)[arcs.tail]
        # The layer at which a request leaves a stage grows along every arc.
        for layer in np.unique(self._stages.end).tolist():
            now = np.flatnonzero(end == layer)
            head = arcs.head[now]
            np.minimum.at(paid, head, paid[arcs.tail[now]] + tolls[now] + prices[head])
        return float(paid[size])
