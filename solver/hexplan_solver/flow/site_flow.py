"""The largest flow of many stages at several sites: the site LP's, led through the network.

The LP (`site_lp`) says how much each stage takes in at each layer, and how much sites send to each
other. Here this becomes paths from stage to stage, with prices that prove the flow largest.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.network import OUTSIDE, Network
from hexplan_solver.flow.params import FLOW_PARAMS, FlowParams
from hexplan_solver.flow.partial_paths import PartialPath, completed_paths
from hexplan_solver.flow.prices import Priced, price_terms, priced_stages
from hexplan_solver.flow.residual import Residual
from hexplan_solver.flow.routes import Flow
from hexplan_solver.flow.site_lp import (
    SiteLayer,
    SiteLp,
    SiteLpSolution,
    SiteTransfer,
    StageInflow,
    joins_whole_sites,
)


def site_flow(network: Network, params: FlowParams = FLOW_PARAMS) -> Flow | None:
    """Return a largest flow by the site LP, or None where that does not give one.

    That is so where the network does not suit the LP, or where links of single pairs of hosts or
    network cards carry less than the LP assumes. The prices hold for the whole network, since the
    LP only leaves out what would lower the flow.
    """
    if not suits_site_lp(network, params):
        return None
    lp = SiteLp(network)
    solution = lp.solve()
    if not solution.value:
        return None
    paths = completed_paths(_Routing(network, lp, solution).completed())
    value = sum(path.amount for path in paths)
    if value < solution.value * MICRO * (1 - params.may_lose):
        return None
    return Flow(value, paths, _cut(network, lp, solution))


def suits_site_lp(network: Network, params: FlowParams = FLOW_PARAMS) -> bool:
    """Say whether a network is large, and has trunks and links that join whole sites."""
    cluster = network.spec.cluster
    is_large = len(network.stages) >= params.site_lp_stages
    return is_large and cluster.has_trunks and joins_whole_sites(cluster)


@dataclass(slots=True)
class _Demand:
    """What a stage is still to take in at a layer, in 1e-6 tokens/s."""

    stage: int
    amount: int


class _Routing:
    """Leads the amounts of the LP through the stages, layer by layer."""

    def __init__(self, network: Network, lp: SiteLp, solution: SiteLpSolution) -> None:
        self._network, self._lp, self._solution = network, lp, solution
        self._residual = Residual(network)
        self._inside: dict[int, list[PartialPath]] = defaultdict(list)
        self._inflows: dict[int, list[StageInflow]] = defaultdict(list)
        for inflow, amount in solution.inflows.items():
            if amount > 0:
                self._inflows[inflow.layer].append(inflow)
        self._transfers: dict[SiteLayer, list[SiteTransfer]] = defaultdict(list)
        for transfer, amount in solution.transfers.items():
            if amount > 0:
                self._transfers[SiteLayer(transfer.source, transfer.layer)].append(transfer)

    def completed(self) -> list[PartialPath]:
        """Lead all flow as far as it comes, and return what reaches the exit."""
        total = self._network.spec.model.layers
        for inflow in self._inflows[0]:
            self._move(PartialPath(self._amount(inflow), OUTSIDE, None), inflow.stage)
        for layer in range(1, total):
            self._pass(layer)
        last = [path for i in self._ending(total) for path in self._inside[i]]
        taken = ((p, self._residual.take(p.amount, p.stage, OUTSIDE)) for p in last)
        return [path.part(amount) for path, amount in taken if amount]

    def _ending(self, layer: int) -> list[int]:
        return [i for i, s in enumerate(self._network.stages) if s.layers[1] == layer]

    def _amount(self, inflow: StageInflow) -> int:
        """Return what a stage takes in, rounded up: what has no room stays behind."""
        return ceil(self._solution.inflows[inflow] * MICRO)

    def _pass(self, layer: int) -> None:
        """Lead what leaves stages at a layer into those that take it in there."""
        site_of = self._network.spec.cluster.site_of
        demands: dict[str, list[_Demand]] = defaultdict(list)
        for inflow in self._inflows[layer]:
            site = site_of(self._network.stages[inflow.stage].host)
            demands[site].append(_Demand(inflow.stage, self._amount(inflow)))
        rest: list[PartialPath] = []
        for source in sorted({site for site, end in self._lp.stages_ending if end == layer}):
            place = SiteLayer(source, layer)
            leaving = [
                path
                for stage in self._lp.stages_ending[place]
                for path in self._inside.pop(stage, ())
            ][::-1]
            # What can stay at its site does.
            by_target = sorted(self._transfers[place], key=lambda t: (t.target != source, t.target))
            for transfer in by_target:
                amount = ceil(self._solution.transfers[transfer] * MICRO)
                self._fill(leaving, demands[transfer.target], amount)
            rest += leaving
        for path in rest:
            self._move_anywhere(path, demands)

    def _fill(self, leaving: list[PartialPath], demands: list[_Demand], most: int) -> None:
        """Meet demands, the last first, with what leaves, the last first, up to an amount in all.

        What links hold up is put back at the front of what leaves.
        """
        held_up: list[PartialPath] = []
        while leaving and demands and most > 0:
            path, demand = leaving.pop(), demands[-1]
            amount = min(path.amount, demand.amount, most)
            moved = self._move(path.part(amount), demand.stage)
            most -= amount
            demand.amount -= amount
            if moved < amount:
                held_up.append(path.part(amount - moved))
            if amount < path.amount:
                leaving.append(path.part(path.amount - amount))
            if not demand.amount:
                demands.pop()
        leaving[:0] = held_up

    def _move_anywhere(self, path: PartialPath, demands: dict[str, list[_Demand]]) -> None:
        """Move what rounding left behind into any stage that still takes something in."""
        for at_site in demands.values():
            for demand in at_site:
                moved = self._move(path, demand.stage)
                if moved == path.amount:
                    return
                path = path.part(path.amount - moved)

    def _move(self, path: PartialPath, target: int) -> int:
        """Move as much into a stage as may pass; return how much that is."""
        amount = self._residual.take(path.amount, path.stage, target)
        if amount:
            self._inside[target].append(PartialPath(amount, target, path))
        return amount


def _cut(network: Network, lp: SiteLp, solution: SiteLpSolution) -> tuple[CutTerm, ...]:
    """Turn the LP's duals into prices.

    A route of the LP may not exist in the network. Such routes only make the prices higher than
    they need to be.
    """
    priced = priced_stages(network, solution.stage_prices)
    for trunk in lp.trunks:
        price = solution.trunk_prices[trunk.name]
        priced.append(Priced(trunk.name, price, Decimal(trunk.bytes_per_s)))
    return price_terms(priced, lp.cheapest_route)
