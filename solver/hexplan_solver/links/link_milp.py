"""The link MILP: placement and flow in one, exact with every capacity, for small clusters.

Each possible stage (devices of a host over a range of layers) is a binary; the flow network holds
all possible stages at once. It grows with the square of their number, so it serves where the number
is small; there it finds the best placement and proves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import pulp

from hexplan.constants import MICRO
from hexplan_solver.flow.network import OUTSIDE, Arc, Network, PlacedStage, build_network
from hexplan_solver.milp import Watch, solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.placement import group_devices
from hexplan_solver.problem.problem import Problem

MAX_CANDIDATES, MAX_ARCS = 220, 6_000
"""Above either, the MILP is not tried."""


def small_network(problem: Problem) -> Network | None:
    """Return the network of every possible stage, or None where it is too large."""
    candidates = []
    for stage in _candidates(problem):
        candidates.append(stage)
        if len(candidates) > MAX_CANDIDATES:
            return None
    network = build_network(problem.spec, candidates)
    return network if len(network.arcs) <= MAX_ARCS else None


def solve_links(
    problem: Problem,
    network: Network,
    start: Sequence[PlacedStage],
    options: SolveOptions,
    limits: tuple[float, int],
    watch: Watch,
) -> tuple[list[PlacedStage], float | None]:
    """Return the best placement found, and the proved bound in tokens/s.

    Parameters
    ----------
    network
        Of every possible stage.
    start
        A placement to start from.
    limits
        Wall-clock limit in seconds, and a proved bound in 1e-6 tokens/s.
    """
    model = pulp.LpProblem("links", pulp.LpMaximize)
    flow = model.add_variable("F", 0, limits[1] / MICRO)
    held = [model.add_variable(f"y_{i}", 0, 1, pulp.LpInteger) for i in range(len(network.stages))]
    arcs = [arc for arc in network.arcs if not _clash(network, arc)]
    flows = [model.add_variable(f"x_{i}", 0, arc.capacity / MICRO) for i, arc in enumerate(arcs)]
    model += flow
    _share_devices(model, problem, network, held)
    _conserve(model, network, (arcs, flows), held)
    _respect_capacities(model, network, (arcs, flows))
    model += (
        pulp.lpSum(x for arc, x in zip(arcs, flows, strict=True) if arc.source == OUTSIDE) == flow
    )
    chosen = set(start)
    warm = {y.name: float(s in chosen) for s, y in zip(network.stages, held, strict=True)}
    result = solve_milp(model, options, limits[0], warm, watch)
    if result.values is None:
        return list(start), result.bound
    values = result.values
    placed = [s for s, y in zip(network.stages, held, strict=True) if values[y.name] > 0.5]
    return placed, result.bound


def _candidates(problem: Problem) -> Iterator[PlacedStage]:
    """Yield every group of devices over every range, once."""
    for host_class in problem.classes:
        for host in host_class.hosts:
            groups = dict.fromkeys(
                group
                for way in host_class.partitions
                for group in group_devices(problem, host, way)
            )
            for kind, devices in groups:
                rates = problem.kinds[kind].rates
                for layers in problem.kinds[kind].ranges():
                    yield PlacedStage(layers, host, devices, kind, rates.of(*layers))


def _clash(network: Network, arc: Arc) -> bool:
    """Say whether both ends of an arc use one device, so that they cannot both be."""
    if OUTSIDE in (arc.source, arc.target):
        return False
    one, other = network.stages[arc.source], network.stages[arc.target]
    return one.host == other.host and not set(one.devices).isdisjoint(other.devices)


def _share_devices(
    model: pulp.LpProblem, problem: Problem, network: Network, held: Sequence[pulp.LpVariable]
) -> None:
    """Let each device be in one stage at most, and every pinned host in one at least."""
    by_device = defaultdict(list)
    by_host = defaultdict(list)
    for stage, variable in zip(network.stages, held, strict=True):
        by_host[stage.host].append(variable)
        for device in stage.devices:
            by_device[stage.host, device].append(variable)
    for variables in by_device.values():
        model += pulp.lpSum(variables) <= 1
    for host_class in problem.classes:
        if host_class.must_serve:
            for host in host_class.hosts:
                model += pulp.lpSum(by_host[host]) >= 1


def _conserve(
    model: pulp.LpProblem,
    network: Network,
    flow: tuple[Sequence[Arc], Sequence[pulp.LpVariable]],
    held: Sequence[pulp.LpVariable],
) -> None:
    inward, outward = defaultdict(list), defaultdict(list)
    for arc, x in zip(*flow, strict=True):
        inward[arc.target].append(x)
        outward[arc.source].append(x)
    for i, (stage, y) in enumerate(zip(network.stages, held, strict=True)):
        model += pulp.lpSum(inward[i]) == pulp.lpSum(outward[i])
        model += pulp.lpSum(inward[i]) <= stage.rate / MICRO * y


def _respect_capacities(
    model: pulp.LpProblem, network: Network, flow: tuple[Sequence[Arc], Sequence[pulp.LpVariable]]
) -> None:
    """Hold every link between two groups of devices, and every NIC and trunk, to its capacity."""
    between = defaultdict(list)
    shared = defaultdict(list)
    for arc, x in zip(*flow, strict=True):
        if OUTSIDE not in (arc.source, arc.target):
            one, other = network.stages[arc.source], network.stages[arc.target]
            pair = one.host, one.devices, other.host, other.devices
            between[pair].append((arc, x))
        for index in arc.shared:
            per_token = arc.token_bytes * MICRO / network.shared[index].bytes_per_s
            shared[index].append((x, per_token))
    for pairs in between.values():
        model += pulp.lpSum(x for _, x in pairs) <= pairs[0][0].capacity / MICRO
    for terms in shared.values():
        model += pulp.LpAffineExpression(terms) <= MICRO
