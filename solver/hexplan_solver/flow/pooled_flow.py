"""The flow of pools, put on the network strand by strand, with the prices that prove it."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from math import ceil

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.network import OUTSIDE, Network
from hexplan_solver.flow.pools import Crossing, Draw, PooledFlow, Pools, has_site_links
from hexplan_solver.flow.prices import Priced, price_terms, priced_stages
from hexplan_solver.flow.residual import Room
from hexplan_solver.flow.routes import Flow
from hexplan_solver.flow.strands import Strand, paths_of_strands

MANY_STAGES = 60
"""Fewer stages have a variable for each two of them."""
LOST = 5e-7
"""Share of the flow that rounding, or a link between two hosts, may cost; the check allows more."""


def pooled_flow(network: Network, fewest: int = MANY_STAGES) -> Flow | None:
    """Return a largest flow by pools, or None where single links or network cards stand in its way.

    The prices hold for the whole network: pools only leave out what would lower the flow.

    Parameters
    ----------
    fewest
        Stages for which pools are worth while.
    """
    if not is_pooled(network, fewest):
        return None
    pools = Pools(network)
    solution = pools.solve()
    if not solution.value:
        return None
    strands = _Realised(network, pools, solution).arrived()
    paths = paths_of_strands(strands)
    value = sum(path.amount for path in paths)
    if value < solution.value * MICRO * (1 - LOST):
        return None
    return Flow(value, paths, _cut(network, pools, solution))


def is_pooled(network: Network, fewest: int = MANY_STAGES) -> bool:
    """Say whether a network is large, has trunks, and links that join whole sites."""
    cluster = network.spec.cluster
    has_trunk = cluster.has_trunks
    return len(network.stages) >= fewest and has_trunk and has_site_links(cluster)


class _Realised:
    """Strands that follow the amounts of the pools, layer by layer."""

    def __init__(self, network: Network, pools: Pools, solution: PooledFlow) -> None:
        self._network, self._pools, self._solution = network, pools, solution
        self._room = Room(network)
        self._inside: dict[int, list[Strand]] = defaultdict(list)
        self._drawn: dict[int, list[Draw]] = defaultdict(list)
        for draw, amount in solution.draws.items():
            if amount > 0:
                self._drawn[draw.layer].append(draw)
        self._leaving: dict[tuple[int, str], list[Crossing]] = defaultdict(list)
        for crossing, amount in solution.crossings.items():
            if amount > 0:
                self._leaving[crossing.layer, crossing.source].append(crossing)

    def arrived(self) -> list[Strand]:
        """Lead all strands as far as they come, and return those that reach the exit."""
        total = self._network.spec.model.layers
        for draw in self._drawn[0]:
            self._move(Strand(self._quota(draw), OUTSIDE, None), draw.stage)
        for layer in range(1, total):
            self._pass(layer)
        last = [strand for i in self._ending(total) for strand in self._inside[i]]
        taken = ((s, self._room.take(s.amount, s.stage, OUTSIDE)) for s in last)
        return [strand.cut(amount) for strand, amount in taken if amount]

    def _ending(self, layer: int) -> list[int]:
        return [i for i, s in enumerate(self._network.stages) if s.layers[1] == layer]

    def _quota(self, item: Draw) -> int:
        """Return an amount, rounded up: what the room does not allow stays behind."""
        return ceil(self._solution.draws[item] * MICRO)

    def _pass(self, layer: int) -> None:
        """Lead what leaves stages at a layer into those that draw it."""
        site_of = self._network.spec.cluster.site_of
        wanted: dict[str, list[list[int]]] = defaultdict(list)
        for draw in self._drawn[layer]:
            site = site_of(self._network.stages[draw.stage].host)
            wanted[site].append([draw.stage, self._quota(draw)])
        rest: list[Strand] = []
        for source in sorted({site for site, end in self._pools.ending if end == layer}):
            strands = [
                strand
                for stage in self._pools.ending[source, layer]
                for strand in self._inside.pop(stage, ())
            ][::-1]
            crossings = self._leaving[layer, source]
            for crossing in sorted(crossings, key=lambda c: (c.target != source, c.target)):
                quota = ceil(self._solution.crossings[crossing] * MICRO)
                self._fill(strands, wanted[crossing.target], quota)
            rest += strands
        for strand in rest:
            self._anywhere(strand, wanted)

    def _fill(self, strands: list[Strand], wanted: list[list[int]], quota: int) -> None:
        """Move strands, the last first, into what is wanted, up to a quota in all."""
        held_up: list[Strand] = []
        while strands and wanted and quota > 0:
            strand, (target, room) = strands.pop(), wanted[-1]
            amount = min(strand.amount, room, quota)
            moved = self._move(strand.cut(amount), target)
            quota -= amount
            wanted[-1][1] -= amount
            if moved < amount:
                held_up.append(strand.cut(amount - moved))
            if amount < strand.amount:
                strands.append(strand.cut(strand.amount - amount))
            if not wanted[-1][1]:
                wanted.pop()
        strands[:0] = held_up

    def _anywhere(self, strand: Strand, wanted: dict[str, list[list[int]]]) -> None:
        """Move what rounding left behind to wherever something is still wanted."""
        for entries in wanted.values():
            for target, _ in entries:
                moved = self._move(strand, target)
                if moved == strand.amount:
                    return
                strand = strand.cut(strand.amount - moved)

    def _move(self, strand: Strand, target: int) -> int:
        """Move as much of a strand as may pass; return how much that is."""
        amount = self._room.take(strand.amount, strand.stage, target)
        if amount:
            self._inside[target].append(Strand(amount, target, strand))
        return amount


def _cut(network: Network, pools: Pools, solution: PooledFlow) -> tuple[CutTerm, ...]:
    """Turn the LP's duals into prices; a route that the pools allow may not be one in truth."""
    priced = priced_stages(network, solution.stage_prices)
    for trunk in pools.trunks:
        price = solution.trunk_prices[trunk.name]
        priced.append(Priced(trunk.name, price, Decimal(trunk.bytes_per_s)))
    return price_terms(priced, pools.cheapest_route)
