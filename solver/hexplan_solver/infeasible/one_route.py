"""One route if links connect only some places, or a proof that there is none: a flow of 1."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import pulp

from hexplan.cluster import COORDINATOR
from hexplan.field_types import Range
from hexplan_solver.budget import Budget
from hexplan_solver.infeasible.params import INFEASIBLE_PARAMS, InfeasibleParams
from hexplan_solver.infeasible.places import PlacePath
from hexplan_solver.milp import solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.placement.stage_counts import StageCount, StageCounts
from hexplan_solver.problem.problem import HostClass, Problem, StageKind

Node = tuple[str, int, int]
"""`in` or `out`, the place, and the layer that the request needs next."""


def has_no_route(
    problem: Problem,
    path: PlacePath,
    options: SolveOptions,
    params: InfeasibleParams = INFEASIBLE_PARAMS,
) -> bool:
    """Say whether it is proved that no request can pass all layers within a path.

    One request is a flow of 1 over nodes (place, next layer). A stage leads from the layer where
    the request enters to the layer where it leaves, and a link leads to another place. False if
    nothing is proved.
    """
    if _num_arcs(problem, path) > params.max_arcs:
        return False
    model, budget = route_model(problem, path).model, Budget(params.milp_seconds)
    bounds = (
        solve_milp(model, replace(options, presolve=presolve), budget).bound
        for presolve in (True, False)
    )
    return all(most is not None and most < 1 - params.margin for most in bounds)


def find_route(
    problem: Problem,
    path: PlacePath,
    options: SolveOptions,
    params: InfeasibleParams = INFEASIBLE_PARAMS,
) -> list[PlacedStage]:
    """Return the stages of one route within a path, or none; for specs without pinned hosts."""
    if _num_arcs(problem, path) > params.max_arcs:
        return []
    route = route_model(problem, path)
    values = solve_milp(route.model, options, Budget(params.milp_seconds)).values or {}
    chosen = {name for name, value in values.items() if value > 1 / 2}
    stages: list[PlacedStage] = []
    for index, hosts in enumerate(path.places):
        counts = tuple(use.stage for use in route.uses if use.place == index and use.name in chosen)
        partitioned = tuple(
            tuple(round(values.get(_partition(index, i, j), 0.0)) for j in range(len(c.partitions)))
            for i, c in enumerate(problem.classes)
        )
        stages += place(problem.only(hosts), StageCounts(counts, partitioned))
    return stages


def _partition(place_index: int, class_index: int, partition: int) -> str:
    return f"z_{place_index}_{class_index}_{partition}"


def _num_arcs(problem: Problem, path: PlacePath) -> int:
    kinds = [kind for hosts in path.places for kind in _kinds(problem, hosts)]
    links = len(path.places) ** 2 * problem.num_layers
    return links + sum(len(_entered_ranges(kind)) for kind in kinds)


def _kinds(problem: Problem, hosts: tuple[str, ...]) -> list[StageKind]:
    members = set(hosts)
    return [k for k in problem.kinds if members & set(problem.classes[k.host_class].hosts)]


def _entered_ranges(kind: StageKind) -> list[Range]:
    """List where a request can enter and leave a stage of this kind."""
    if kind.pin is None:
        return kind.ranges()
    return [(enter, end) for first, end in kind.ranges() for enter in range(first, end)]


@dataclass(frozen=True, slots=True)
class RouteStage:
    """A stage that the request may pass at some place, with the name of its variable."""

    name: str
    place: int
    stage: StageCount


@dataclass(slots=True)
class RouteProgram:
    """The program of one route, with the arcs between its nodes."""

    model: pulp.LpProblem
    balance: dict[Node, list[tuple[pulp.LpVariable, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    num_arcs: int = 0
    uses: list[RouteStage] = field(default_factory=list)

    def arc(self, tail: Node | None, head: Node | None, category: str) -> pulp.LpVariable:
        """Add an arc; None is the coordinator."""
        variable = self.model.add_variable(f"x_{self.num_arcs}", 0, 1, category)
        self.num_arcs += 1
        for node, sign in ((tail, -1.0), (head, 1.0)):
            if node is not None:
                self.balance[node].append((variable, sign))
        return variable


def route_model(problem: Problem, path: PlacePath) -> RouteProgram:
    """Return the program: maximise the flow that enters, at most 1, under `conserve`."""
    route = RouteProgram(pulp.LpProblem("route", pulp.LpMaximize))
    entering = _add_links(problem, path, route)
    route.model += pulp.lpSum(entering)
    route.model += pulp.lpSum(entering) <= 1, "one_request"
    for index, hosts in enumerate(path.places):
        for class_index, host_class in enumerate(problem.classes):
            present = replace(
                host_class, hosts=tuple(h for h in host_class.hosts if h in set(hosts))
            )
            if present.hosts:
                _add_stages(problem, route, index, class_index, present)
    for (side, index, layer), row in route.balance.items():
        route.model += pulp.LpAffineExpression(row) == 0, f"conserve_{side}_{index}_{layer}"
    return route


def _add_links(problem: Problem, path: PlacePath, route: RouteProgram) -> list[pulp.LpVariable]:
    """Add the links between places, and return those from the coordinator."""
    cluster, last = problem.spec.cluster, problem.num_layers
    firsts = [hosts[0] for hosts in path.places]
    entering = []
    for i, host in enumerate(firsts):
        if cluster.link(COORDINATOR, host) is not None:
            entering.append(route.arc(None, ("in", i, 0), pulp.LpContinuous))
        if cluster.link(host, COORDINATOR) is not None:
            route.arc(("out", i, last), None, pulp.LpContinuous)
        for j, other in enumerate(firsts):
            if i == j or cluster.link(host, other) is not None:
                for layer in range(1, last):
                    route.arc(("out", i, layer), ("in", j, layer), pulp.LpContinuous)
    return entering


def _add_stages(
    problem: Problem, route: RouteProgram, index: int, class_index: int, present: HostClass
) -> None:
    """Add the stages of one class at one place, no more of a kind than its hosts can form."""
    num_hosts, model = len(present.hosts), route.model
    partitions = [
        model.add_variable(_partition(index, class_index, i), 0, num_hosts, pulp.LpInteger)
        for i in range(len(present.partitions))
    ]
    model += pulp.lpSum(partitions) <= num_hosts, f"hosts_{index}_{class_index}"
    formed = defaultdict(list)
    for partition, variable in zip(present.partitions, partitions, strict=True):
        for kind, count in partition:
            formed[kind].append((variable, -float(count)))
    for kind, row in formed.items():
        for enter, end in _entered_ranges(problem.kinds[kind]):
            use = route.arc(("in", index, enter), ("out", index, end), pulp.LpInteger)
            route.uses.append(RouteStage(use.name, index, StageCount(kind, (enter, end))))
            row.append((use, 1.0))
        model += pulp.LpAffineExpression(row) <= 0, f"groups_{index}_{kind}"
