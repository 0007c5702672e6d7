"""The largest flow of a placement, with the prices that prove it (docs/formulation.md 5 and 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import networkx as nx
from networkx.algorithms.flow import dinitz

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.large_flow import large_flow
from hexplan_solver.flow.network import OUTSIDE, Network, arc_name, stage_name
from hexplan_solver.flow.priced_flow import priced_flow
from hexplan_solver.flow.replica_flow import replica_flow
from hexplan_solver.flow.routes import Flow, paths_of
from hexplan_solver.flow.site_flow import site_flow
from hexplan_solver.flow.stacking import stacked_flow


def max_flow(network: Network) -> Flow:
    """Return a largest flow: exact where no NIC or trunk binds, else that of an LP, rounded down.

    What is quick comes first. The LP over all arcs, the slowest, is solved only where there are few
    of them, a shared capacity binds, and the LP over sites does not help.
    """
    if network.is_of_replicas:
        return replica_flow(network)
    # What is quick takes it that requests may enter inside stages.
    for quick in () if network.spec.counts_host_memory else (stacked_flow, site_flow, large_flow):
        found = quick(network)
        if found is not None:
            return found
    arc_flows, cut = _combinatorial_flow(network)
    if not _overloads(network, arc_flows):
        paths = paths_of(network, arc_flows)
        return Flow(sum(path.amount for path in paths), paths, cut)
    return priced_flow(network)


def _combinatorial_flow(network: Network) -> tuple[list[int], tuple[CutTerm, ...]]:
    """Solve the max-flow with each stage as two vertices, shared capacities ignored."""
    graph: nx.DiGraph[object] = nx.DiGraph()
    graph.add_nodes_from(["entry", "exit"])
    for position, stage in enumerate(network.stages):
        graph.add_edge(("in", position), ("out", position), capacity=stage.rate)
    ends = [
        (
            "entry" if arc.source == OUTSIDE else ("out", arc.source),
            "exit" if arc.target == OUTSIDE else ("in", arc.target),
        )
        for arc in network.arcs
    ]
    for arc, (tail, head) in zip(network.arcs, ends, strict=True):
        graph.add_edge(tail, head, capacity=arc.capacity)
    residual = dinitz(graph, "entry", "exit")
    flows = [max(0, residual[tail][head]["flow"]) for tail, head in ends]
    near = _reachable(residual)
    cut = [
        _term(f"stage:{stage_name(i)}", 1, stage.rate)
        for i, stage in enumerate(network.stages)
        if ("in", i) in near and ("out", i) not in near
    ]
    cut += [
        _term(arc_name(arc), 1, arc.capacity)
        for arc, (tail, head) in zip(network.arcs, ends, strict=True)
        if tail in near and head not in near
    ]
    return flows, tuple(cut)


def _reachable(residual: nx.DiGraph[object]) -> set[object]:
    seen: set[object] = {"entry"}
    frontier: list[object] = ["entry"]
    while frontier:
        node = frontier.pop()
        for other, data in residual[node].items():
            if other not in seen and data["flow"] < data["capacity"]:
                seen.add(other)
                frontier.append(other)
    return seen


def _term(name: str, price: Decimal | int, micro_capacity: int) -> CutTerm:
    return CutTerm(constraint=name, price=Decimal(price), capacity=Decimal(micro_capacity) / MICRO)


def _overloads(network: Network, arc_flows: Sequence[int]) -> bool:
    """Say whether any NIC or trunk carries more than it can."""
    load: dict[int, int] = defaultdict(int)
    for arc, flow in zip(network.arcs, arc_flows, strict=True):
        for shared in arc.shared:
            load[shared] += flow * arc.token_bytes
    return any(
        bytes_micro > network.shared[shared].bytes_per_s * MICRO
        for shared, bytes_micro in load.items()
    )
