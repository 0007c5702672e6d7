"""Valuers: they compute the value of one flow after another, fast, as a local search needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO
from hexplan.cost import link_rate, token_bytes
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.pooled_flow import is_pooled
from hexplan_solver.flow.pools import Pools
from hexplan_solver.flow.priced_flow import shared_flow_value
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem

INT32_ROOM = 2**30


class Valuer(Protocol):
    """Computes the flow of a placement in whole units."""

    unit: int
    """How many 1e-6 tokens/s one unit is."""

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the flow in units; where it is below `floor`, any number below will do."""
        ...


def valuer_for(evaluated: Evaluated) -> Valuer:
    """Choose the valuer for many placements: the fast one unless a NIC or a trunk may bind.

    Parameters
    ----------
    evaluated
        A placement like those to be valued.
    """
    problem = evaluated.problem
    if is_pooled(evaluated.network):
        return PooledValuer(problem)
    cut = evaluated.flow.cut
    is_shared = any(term.constraint.startswith(("nic", "pair")) for term in cut)
    has_trunk = problem.spec.cluster.has_trunks
    return SharedValuer(problem) if is_shared or has_trunk else LinkValuer(problem)


class PooledValuer:
    """Computes the flow by an LP over pools, single links and network cards ignored."""

    unit = 1

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.spec

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the flow in 1e-6 tokens/s."""
        return int(Pools(build_network(self._spec, placement)).solve().value * MICRO)


class SharedValuer:
    """Computes the flow with every capacity, by an LP: milliseconds, where nothing cheaper does."""

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.spec
        self._at_most = LinkValuer(problem)
        self.unit = self._at_most.unit

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the flow in units; by links alone where that is below `floor`."""
        most = self._at_most.flow(placement)
        if most < floor:
            return most
        return int(shared_flow_value(build_network(self._spec, placement)) * MICRO) // self.unit


class LinkValuer:
    """Computes the flow of many placements of one problem fast, NICs ignored.

    A trunk is counted by itself at each layer where requests may cross it, which is exact where
    they cross at one layer, and else too much.
    """

    def __init__(self, problem: Problem) -> None:
        cluster, model = problem.spec.cluster, problem.spec.model
        names = [host.name for host in cluster.hosts]
        self._position = {name: i for i, name in enumerate(names)}
        self._layers = problem.num_layers
        num_devices = sum(len(host.devices) for host in cluster.hosts)
        largest = max(k.rates.of(*r) for k in problem.kinds for r in k.ranges())
        self.unit = max(1, largest * num_devices // INT32_ROOM + 1)
        ends = [*names, COORDINATOR]
        self._pair = self._units(
            [[link_rate(cluster, model, a, b) or 0 for b in ends] for a in names]
        )
        self._entry = self._units([link_rate(cluster, model, COORDINATOR, b) or 0 for b in names])
        self._trunk_rates = [INT32_ROOM]
        self._trunk = np.zeros((len(names), len(names)), dtype=np.int64)
        if cluster.has_trunks:
            self._number_trunks(problem, names)

    def _units(self, micro: Sequence[int] | list[list[int]]) -> NDArray[np.int64]:
        return np.minimum(np.array(micro, dtype=np.int64) // self.unit, INT32_ROOM)

    def _number_trunks(self, problem: Problem, names: Sequence[str]) -> None:
        """Give trunks numbers from 1, and find which pairs of hosts use which."""
        cluster = problem.spec.cluster
        known: dict[tuple[str, str], int] = {}
        for i, source in enumerate(names):
            for j, target in enumerate(names):
                link = cluster.link(source, target) if i != j else None
                over = link and cluster.over(link)
                if over is None or over.trunk_bytes_per_s is None:
                    continue
                ends = over.source, over.target
                if ends not in known:
                    known[ends] = len(self._trunk_rates)
                    per_token = token_bytes(problem.spec.model, source, target)
                    rate = over.trunk_bytes_per_s * MICRO // per_token // self.unit
                    self._trunk_rates.append(min(rate, INT32_ROOM))
                self._trunk[i, j] = known[ends]

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the max flow in units of `unit` 1e-6 tokens/s."""
        n = len(placement)
        first = np.array([s.layers[0] for s in placement])
        end = np.array([s.layers[1] for s in placement])
        host = np.array([self._position[s.host] for s in placement])
        rate = np.array([s.rate // self.unit for s in placement])
        joined = (first[None, :] <= end[:, None]) & (end[:, None] < end[None, :])
        tails, heads = np.nonzero(joined)
        arcs = _Arcs(n, rate)
        links = self._pair[host[tails], host[heads]]
        trunks = self._trunk[host[tails], host[heads]]
        direct = trunks == 0
        arcs.add(n + tails[direct], heads[direct], links[direct])
        if not direct.all():
            shared = ~direct
            gates = trunks[shared] * (self._layers + 1) + end[tails[shared]]
            rates = np.array(self._trunk_rates)
            arcs.add_gates(tails[shared], heads[shared], links[shared], gates, rates, self._layers)
        starts, stops = np.flatnonzero(first == 0), np.flatnonzero(end == self._layers)
        return arcs.flow((starts, self._entry[host[starts]]), (stops, self._pair[host[stops], -1]))


class _Arcs:
    """Arcs of one max-flow: stage i goes in at node i and out at node n + i."""

    def __init__(self, n: int, rate: NDArray[np.int64]) -> None:
        self._n, self._size = n, 2 * n
        inside = np.arange(n)
        self._parts = [(inside, n + inside, rate)]

    def add(
        self, tails: NDArray[np.int64], heads: NDArray[np.int64], capacity: NDArray[np.int64]
    ) -> None:
        self._parts.append((tails, heads, capacity))

    def add_gates(
        self,
        tails: NDArray[np.int64],
        heads: NDArray[np.int64],
        links: NDArray[np.int64],
        gates: NDArray[np.int64],
        rates: NDArray[np.int64],
        num_layers: int,
    ) -> None:
        """Lead arcs through one gate for each trunk and layer, as wide as the trunk."""
        found, which = np.unique(gates, return_inverse=True)
        before = self._size + which
        after = before + found.size
        self._size += 2 * found.size
        through = np.arange(found.size) + self._size - 2 * found.size
        self.add(through, through + found.size, rates[found // (num_layers + 1)])
        # A stage reaches a gate by all its links together: never too little.
        for ends in ((self._n + tails, before), (after, heads)):
            pairs = np.stack(ends, axis=1)
            _, place, inverse = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
            total = np.zeros(place.size, dtype=np.int64)
            np.add.at(total, inverse, links)
            self.add(pairs[place, 0], pairs[place, 1], np.minimum(total, INT32_ROOM))

    def flow(
        self,
        starts: tuple[NDArray[np.intp], NDArray[np.int64]],
        stops: tuple[NDArray[np.intp], NDArray[np.int64]],
    ) -> int:
        source, sink = self._size, self._size + 1
        self.add(np.full(starts[0].size, source), starts[0], starts[1])
        self.add(self._n + stops[0], np.full(stops[0].size, sink), stops[1])
        rows, columns, capacity = (np.concatenate(c) for c in zip(*self._parts, strict=True))
        shape = (self._size + 2, self._size + 2)
        graph = csr_array((capacity.astype(np.int32), (rows, columns)), shape=shape)
        return int(maximum_flow(graph, source, sink).flow_value)
