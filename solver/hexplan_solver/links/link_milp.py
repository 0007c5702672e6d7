"""The link MILP: placement and flow in one, exact with every capacity, for small clusters.

Each possible stage (devices of a host over a range of layers) is a binary variable, and the flow
network has all possible stages at once. The MILP grows with the square of their number. Where the
number is small, it finds the best placement and proves that it is the best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulp

from hexplan.constants import MICRO
from hexplan_solver.budget import Budget
from hexplan_solver.flow.network import OUTSIDE, Arc, Network, build_network
from hexplan_solver.links.params import LINK_PARAMS, LinkParams
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import group_devices
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class LinkModel:
    """The MILP and its variables."""

    model: pulp.LpProblem
    held: Sequence[pulp.LpVariable]
    """y: whether each stage of the network is formed."""
    flows: Sequence[tuple[Arc, pulp.LpVariable]]
    """x: the flow of each arc, in tokens/s."""


def small_network(problem: Problem, params: LinkParams = LINK_PARAMS) -> Network | None:
    """Return the network of every possible stage, or None where it is too large."""
    candidates = []
    for stage in _candidates(problem):
        candidates.append(stage)
        if len(candidates) > params.max_candidates:
            return None
    network = build_network(problem.spec, candidates)
    return network if len(network.arcs) <= params.max_arcs else None


def solve_links(
    problem: Problem,
    network: Network,
    start: Placement,
    options: SolveOptions,
    budget: Budget,
) -> tuple[Placement, float | None]:
    """Return the best placement found, and the proved bound in tokens/s.

    Parameters
    ----------
    network
        Of every possible stage.
    start
        A placement to start from.
    """
    link = link_model(problem, network, budget.bound)
    known = set(start)
    warm = {y.name: float(s in known) for s, y in zip(network.stages, link.held, strict=True)}
    result = solve_milp(link.model, options, budget, warm)
    if result.values is None:
        return start, result.bound
    values = result.values
    chosen = (s for s, y in zip(network.stages, link.held, strict=True) if values[y.name] > 0.5)
    return Placement.of(chosen), result.bound


def link_model(problem: Problem, network: Network, bound: int) -> LinkModel:
    """Return the MILP: maximise F, at most `bound` (1e-6 tokens/s), over placement and flow."""
    model = pulp.LpProblem("links", pulp.LpMaximize)
    flow = model.add_variable("F", 0, bound / MICRO)
    held = [model.add_variable(f"y_{i}", 0, 1, pulp.LpInteger) for i in range(len(network.stages))]
    arcs = [arc for arc in network.arcs if not _clash(network, arc)]
    flows = [
        (arc, model.add_variable(f"x_{i}", 0, arc.capacity / MICRO)) for i, arc in enumerate(arcs)
    ]
    link = LinkModel(model, held, flows)
    model += flow
    _use_devices_once(link, network)
    _use_pinned_hosts(link, problem, network)
    _conserve(link, network)
    _limit_links(link, network)
    _limit_shared(link, network)
    model += pulp.lpSum(x for arc, x in flows if arc.source == OUTSIDE) == flow, "entry"
    return link


def _candidates(problem: Problem) -> Iterator[PlacedStage]:
    """Yield every group of devices over every range that it can hold, once."""
    for host_class in problem.classes:
        for host in host_class.hosts:
            groups = dict.fromkeys(
                group
                for partition in host_class.partitions
                for group in group_devices(problem, host, partition)
            )
            for kind, devices in groups:
                rates = problem.kinds[kind].rates
                for layers in problem.kinds[kind].ranges():
                    yield PlacedStage(layers, host, devices, kind, rates.of(*layers))


def _clash(network: Network, arc: Arc) -> bool:
    """Say whether both stages of an arc use one device, so that not both can be formed."""
    if OUTSIDE in (arc.source, arc.target):
        return False
    one, other = network.stages[arc.source], network.stages[arc.target]
    return one.host == other.host and not set(one.devices).isdisjoint(other.devices)


def _use_devices_once(link: LinkModel, network: Network) -> None:
    """Let each device be in at most one stage: sum of y <= 1."""
    by_device = defaultdict(list)
    for stage, variable in zip(network.stages, link.held, strict=True):
        for device in stage.devices:
            by_device[stage.host, device].append(variable)
    model = link.model
    for i, variables in enumerate(by_device.values()):
        model += pulp.lpSum(variables) <= 1, f"device_{i}"


def _use_pinned_hosts(link: LinkModel, problem: Problem, network: Network) -> None:
    """Form a stage on every host that is pinned: sum of y >= 1."""
    by_host = defaultdict(list)
    for stage, variable in zip(network.stages, link.held, strict=True):
        by_host[stage.host].append(variable)
    model = link.model
    pinned = [h for c in problem.classes if c.must_serve for h in c.hosts]
    for i, host in enumerate(pinned):
        model += pulp.lpSum(by_host[host]) >= 1, f"pinned_{i}"


def _conserve(link: LinkModel, network: Network) -> None:
    """Let what enters a stage leave it, at most its rate: sum of x <= T y."""
    inward, outward = defaultdict(list), defaultdict(list)
    for arc, x in link.flows:
        inward[arc.target].append(x)
        outward[arc.source].append(x)
    model = link.model
    for i, (stage, y) in enumerate(zip(network.stages, link.held, strict=True)):
        model += pulp.lpSum(inward[i]) == pulp.lpSum(outward[i]), f"conserve_{i}"
        model += pulp.lpSum(inward[i]) <= stage.rate / MICRO * y, f"stage_{i}"


def _limit_links(link: LinkModel, network: Network) -> None:
    """Keep the flow between two groups of devices within their link, whatever their layers."""
    between = defaultdict(list)
    for arc, x in link.flows:
        if OUTSIDE not in (arc.source, arc.target):
            one, other = network.stages[arc.source], network.stages[arc.target]
            pair = one.host, one.devices, other.host, other.devices
            between[pair].append((arc, x))
    model = link.model
    for i, arcs in enumerate(between.values()):
        model += pulp.lpSum(x for _, x in arcs) <= arcs[0][0].capacity / MICRO, f"link_{i}"


def _limit_shared(link: LinkModel, network: Network) -> None:
    """Keep the flow within each shared capacity, counted in millionths of it."""
    shared = defaultdict(list)
    for arc, x in link.flows:
        for index in arc.shared:
            per_token = arc.token_bytes * MICRO / network.shared[index].bytes_per_s
            shared[index].append((x, per_token))
    model = link.model
    for index, terms in shared.items():
        model += pulp.LpAffineExpression(terms) <= MICRO, f"shared_{index}"
