"""One route where links join only some places, or a proof that there is none: a unit flow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import pulp

from hexplan.cluster import COORDINATOR
from hexplan_solver.infeasible.places import Way
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.coverage import Column, Coverage
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, StageKind

MAX_ARCS = 20_000
"""Stages and links that are told apart; with more, nothing is proved."""
LIMIT_S = 5.0

Node = tuple[str, int, int]
"""`in` or `out`, the place, and the layer that the request needs next."""


def has_no_route(problem: Problem, way: Way, options: SolveOptions) -> bool:
    """Say whether it is proved that no request can pass all layers within a way.

    One request is a unit of flow over nodes (place, next layer): a stage leads from where the
    request enters to where it ends, and a link to another place. False where nothing is proved.
    """
    if _num_arcs(problem, way) > MAX_ARCS:
        return False
    net = _net(problem, way)
    return all(
        most is not None and most < 1 / 2
        for presolve in (True, False)
        for most in [solve_milp(net.model, replace(options, presolve=presolve), LIMIT_S).bound]
    )


def find_route(problem: Problem, way: Way, options: SolveOptions) -> list[PlacedStage]:
    """Return the stages of one route within a way, where one is found; no host may be pinned."""
    if _num_arcs(problem, way) > MAX_ARCS:
        return []
    net = _net(problem, way)
    values = solve_milp(net.model, options, LIMIT_S).values or {}
    chosen = {name for name, value in values.items() if value > 1 / 2}
    stages: list[PlacedStage] = []
    for index, hosts in enumerate(way.places):
        columns = tuple(c for name, at, c in net.uses if at == index and name in chosen)
        ways = tuple(
            tuple(round(values.get(f"z_{index}_{i}_{j}", 0.0)) for j in range(len(c.partitions)))
            for i, c in enumerate(problem.classes)
        )
        stages += place(problem.only(hosts), Coverage(columns, ways, None, "one route"))
    return stages


def _num_arcs(problem: Problem, way: Way) -> int:
    kinds = [kind for hosts in way.places for kind in _kinds(problem, hosts)]
    links = len(way.places) ** 2 * problem.num_layers
    return links + sum(len(_uses(kind)) for kind in kinds)


def _kinds(problem: Problem, hosts: tuple[str, ...]) -> list[StageKind]:
    members = set(hosts)
    return [k for k in problem.kinds if members & set(problem.classes[k.host_class].hosts)]


def _uses(kind: StageKind) -> list[tuple[int, int]]:
    """List where a request can enter and leave a stage of this kind."""
    if kind.pin is None:
        return kind.ranges()
    return [(enter, end) for first, end in kind.ranges() for enter in range(first, end)]


@dataclass(slots=True)
class _Net:
    model: pulp.LpProblem
    balance: dict[Node, list[tuple[pulp.LpVariable, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    count: int = 0
    uses: list[tuple[str, int, Column]] = field(default_factory=list)
    """The variable of each use of a stage, its place, and the stage."""

    def arc(self, tail: Node | None, head: Node | None, category: str) -> pulp.LpVariable:
        variable = self.model.add_variable(f"x_{self.count}", 0, 1, category)
        self.count += 1
        for node, sign in ((tail, -1.0), (head, 1.0)):
            if node is not None:
                self.balance[node].append((variable, sign))
        return variable


def _net(problem: Problem, way: Way) -> _Net:
    """Return the program of the largest flow of one request."""
    net = _Net(pulp.LpProblem("route", pulp.LpMaximize))
    entering = _links(problem, way, net)
    net.model += pulp.lpSum(entering)
    net.model += pulp.lpSum(entering) <= 1
    for index, hosts in enumerate(way.places):
        _stages(problem, index, hosts, net)
    for row in net.balance.values():
        net.model += pulp.LpAffineExpression(row) == 0
    return net


def _links(problem: Problem, way: Way, net: _Net) -> list[pulp.LpVariable]:
    """Add the links between places, and return those from the coordinator."""
    cluster, last = problem.spec.cluster, problem.num_layers
    firsts = [hosts[0] for hosts in way.places]
    entering = []
    for i, host in enumerate(firsts):
        if cluster.link(COORDINATOR, host) is not None:
            entering.append(net.arc(None, ("in", i, 0), pulp.LpContinuous))
        if cluster.link(host, COORDINATOR) is not None:
            net.arc(("out", i, last), None, pulp.LpContinuous)
        for j, other in enumerate(firsts):
            if i == j or cluster.link(host, other) is not None:
                for layer in range(1, last):
                    net.arc(("out", i, layer), ("in", j, layer), pulp.LpContinuous)
    return entering


def _stages(problem: Problem, index: int, hosts: tuple[str, ...], net: _Net) -> None:
    """Add the stages of one place, no more of a kind than its hosts can form."""
    members = set(hosts)
    for position, host_class in enumerate(problem.classes):
        num_hosts = len(members & set(host_class.hosts))
        if not num_hosts:
            continue
        ways = [
            net.model.add_variable(f"z_{index}_{position}_{i}", 0, num_hosts, pulp.LpInteger)
            for i in range(len(host_class.partitions))
        ]
        net.model += pulp.lpSum(ways) <= num_hosts
        formed = defaultdict(list)
        for partition, variable in zip(host_class.partitions, ways, strict=True):
            for kind, count in partition:
                formed[kind].append((variable, -float(count)))
        for kind, row in formed.items():
            used = []
            for enter, end in _uses(problem.kinds[kind]):
                used.append(net.arc(("in", index, enter), ("out", index, end), pulp.LpInteger))
                net.uses.append((used[-1].name, index, Column(kind, (enter, end))))
            row = [*row, *((variable, 1.0) for variable in used)]
            net.model += pulp.LpAffineExpression(row) <= 0
