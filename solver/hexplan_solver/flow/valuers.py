"""Valuers: they compute the flow of one placement after another fast, for a local search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from hexplan_solver.flow.priced_flow import shared_flow_value
from hexplan_solver.flow.site_flow import suits_site_lp
from hexplan_solver.flow.site_lp import SiteLp
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem

INT32_ROOM = 2**30
"""No capacity in units is larger, so that scipy's 32-bit max-flow does not overflow."""


class Valuer(Protocol):
    """Computes the flow of a placement in whole units."""

    unit: int
    """How many 1e-6 tokens/s one unit is."""

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the flow in units, or any number below `floor` where the flow is below it."""
        ...


def valuer_for(evaluated: Evaluated) -> Valuer:
    """Choose the valuer for many placements: the fast one unless a shared capacity may bind.

    Parameters
    ----------
    evaluated
        A placement like those to be valued.
    """
    problem = evaluated.problem
    if suits_site_lp(evaluated.network):
        return SiteValuer(problem)
    if problem.has_trunks or evaluated.is_cut_by_shared:
        return SharedValuer(problem)
    return LinkValuer(problem)


class SiteValuer:
    """Computes the flow by the site LP, which ignores single links and network cards."""

    unit = 1

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.spec

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the flow in 1e-6 tokens/s."""
        return int(SiteLp(build_network(self._spec, placement)).solve().value * MICRO)


class SharedValuer:
    """Computes the flow with every capacity, by an LP that takes milliseconds."""

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.spec
        self._at_most = LinkValuer(problem)
        self.unit = self._at_most.unit

    def flow(self, placement: Placement, floor: int = 0) -> int:
        """Return the flow in units, or that over links alone where it is below `floor`.

        Shared capacities can only lower it further.
        """
        most = self._at_most.flow(placement)
        if most < floor:
            return most
        return int(shared_flow_value(build_network(self._spec, placement)) * MICRO) // self.unit


class LinkValuer:
    """Computes the flow of many placements of one problem fast, NICs ignored.

    A trunk counts anew at each layer where requests may cross it. That is exact if they all cross
    at one layer, and otherwise overestimates the flow.
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
        if problem.has_trunks:
            self._number_trunks(problem, names)
        # A gate is a trunk at one layer; gates are numbered by trunk and then by layer.
        self._gate_rates = np.repeat(np.array(self._trunk_rates), self._layers + 1)

    def _units(self, micro: Sequence[int] | list[list[int]]) -> NDArray[np.int64]:
        return np.minimum(np.array(micro, dtype=np.int64) // self.unit, INT32_ROOM)

    def _number_trunks(self, problem: Problem, names: Sequence[str]) -> None:
        """Give trunks numbers from 1, and note which of them each pair of hosts uses."""
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
        arcs = _MaxFlow(n, rate)
        links = self._pair[host[tails], host[heads]]
        trunks = self._trunk[host[tails], host[heads]]
        direct = trunks == 0
        arcs.add(n + tails[direct], heads[direct], links[direct])
        if not direct.all():
            shared = ~direct
            gates = trunks[shared] * (self._layers + 1) + end[tails[shared]]
            gated = _GatedArcs(tails[shared], heads[shared], links[shared], gates)
            arcs.add_gates(gated, self._gate_rates)
        starts, stops = np.flatnonzero(first == 0), np.flatnonzero(end == self._layers)
        return arcs.flow(
            _Terminals(starts, self._entry[host[starts]]),
            _Terminals(stops, self._pair[host[stops], -1]),
        )


@dataclass(frozen=True, slots=True)
class _GatedArcs:
    """Arcs that share gates; each array has one entry for each arc."""

    tails: NDArray[np.int64]
    """Stages left."""
    heads: NDArray[np.int64]
    """Stages entered."""
    links: NDArray[np.int64]
    """Capacity of the arc's own link, in units."""
    gates: NDArray[np.int64]
    """Which gate it passes."""


@dataclass(frozen=True, slots=True)
class _Terminals:
    """Stages that entry or exit is joined to."""

    stages: NDArray[np.intp]
    capacity: NDArray[np.int64]
    """In units."""


class _MaxFlow:
    """The graph of one max-flow: stage i is entered at node i and left at node n + i."""

    def __init__(self, n: int, rate: NDArray[np.int64]) -> None:
        self._n, self._size = n, 2 * n
        inside = np.arange(n)
        self._parts = [(inside, n + inside, rate)]

    def add(
        self, tails: NDArray[np.int64], heads: NDArray[np.int64], capacity: NDArray[np.int64]
    ) -> None:
        """Add arcs between nodes, with capacities in units."""
        self._parts.append((tails, heads, capacity))

    def add_gates(self, arcs: _GatedArcs, rates: NDArray[np.int64]) -> None:
        """Lead arcs through gates.

        Parameters
        ----------
        rates
            What each gate lets through in units, by its number.
        """
        found, which = np.unique(arcs.gates, return_inverse=True)
        before = self._size + which
        after = before + found.size
        through = np.arange(found.size) + self._size
        self._size += 2 * found.size
        self.add(through, through + found.size, rates[found])
        # A stage reaches a gate by all of its links together, which is never too little.
        for tails, heads in ((self._n + arcs.tails, before), (after, arcs.heads)):
            pairs = np.stack((tails, heads), axis=1)
            _, place, inverse = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
            total = np.zeros(place.size, dtype=np.int64)
            np.add.at(total, inverse, arcs.links)
            self.add(pairs[place, 0], pairs[place, 1], np.minimum(total, INT32_ROOM))

    def flow(self, starts: _Terminals, stops: _Terminals) -> int:
        """Return the largest flow from entry to exit in units."""
        source, sink = self._size, self._size + 1
        self.add(np.full(starts.stages.size, source), starts.stages, starts.capacity)
        self.add(self._n + stops.stages, np.full(stops.stages.size, sink), stops.capacity)
        rows, columns, capacity = (np.concatenate(c) for c in zip(*self._parts, strict=True))
        shape = (self._size + 2, self._size + 2)
        graph = csr_array((capacity.astype(np.int32), (rows, columns)), shape=shape)
        return int(maximum_flow(graph, source, sink).flow_value)
