"""Judges: they compute the flow of one placement after another, as a search wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from hexplan.cluster import COORDINATOR
from hexplan.cost import link_rate
from hexplan.cost.speed import MICRO
from hexplan_solver.network import PlacedStage, build_network
from hexplan_solver.priced_flow import shared_flow_value
from hexplan_solver.problem import Problem

INT32_ROOM = 2**30


class Judge(Protocol):
    """Computes the flow of a placement in whole units."""

    unit: int
    """How many 1e-6 tokens/s one unit is."""

    def flow(self, stages: Sequence[PlacedStage]) -> int:
        """Return the flow in units."""
        ...


class SharedJudge:
    """Computes the flow with every capacity, by an LP: milliseconds."""

    unit = 1

    def __init__(self, problem: Problem) -> None:
        self._spec = problem.spec

    def flow(self, stages: Sequence[PlacedStage]) -> int:
        """Return the flow in 1e-6 tokens/s."""
        return int(shared_flow_value(build_network(self._spec, stages)) * MICRO)


class LinkJudge:
    """Computes the flow of many placements of one problem fast, NICs and trunks ignored."""

    def __init__(self, problem: Problem) -> None:
        spec = problem.spec
        names = [host.name for host in spec.cluster.hosts]
        self._position = {name: i for i, name in enumerate(names)}
        self._layers = problem.num_layers
        ends = [*names, COORDINATOR]
        pairs = [[link_rate(spec.cluster, spec.model, a, b) or 0 for b in ends] for a in names]
        entry = [link_rate(spec.cluster, spec.model, COORDINATOR, b) or 0 for b in names]
        num_devices = sum(len(host.devices) for host in spec.cluster.hosts)
        largest = max(k.rates.of(*r) for k in problem.kinds for r in k.ranges())
        self.unit = max(1, largest * num_devices // INT32_ROOM + 1)
        cap = INT32_ROOM
        self._pair = np.minimum(np.array(pairs, dtype=np.int64) // self.unit, cap)
        self._entry = np.minimum(np.array(entry, dtype=np.int64) // self.unit, cap)

    def flow(self, stages: Sequence[PlacedStage]) -> int:
        """Return the max flow in units of `unit` 1e-6 tokens/s."""
        n = len(stages)
        first = np.array([s.layers[0] for s in stages])
        end = np.array([s.layers[1] for s in stages])
        host = np.array([self._position[s.host] for s in stages])
        rate = np.array([s.rate // self.unit for s in stages])
        joined = (first[None, :] <= end[:, None]) & (end[:, None] < end[None, :])
        tails, heads = np.nonzero(joined)
        starts, stops = np.flatnonzero(first == 0), np.flatnonzero(end == self._layers)
        inside = np.arange(n)
        rows = np.concatenate([inside, n + tails, np.full(starts.size, 2 * n), n + stops])
        columns = np.concatenate([n + inside, heads, starts, np.full(stops.size, 2 * n + 1)])
        capacity = np.concatenate(
            [
                rate,
                self._pair[host[tails], host[heads]],
                self._entry[host[starts]],
                self._pair[host[stops], -1],
            ]
        )
        graph = csr_array(
            (capacity.astype(np.int32), (rows, columns)), shape=(2 * n + 2, 2 * n + 2)
        )
        return int(maximum_flow(graph, 2 * n, 2 * n + 1).flow_value)
