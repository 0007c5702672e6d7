"""One route where links join only some places: found wherever there is one."""

from __future__ import annotations

from support.brute_route import TooMany, has_route
from support.random_clusters import WILD, random_spec

from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.infeasible.one_route import find_route
from hexplan_solver.infeasible.places import place_paths
from hexplan_solver.options import SolveOptions
from hexplan_solver.problem.problem import Problem, build_problem

SEEDS = range(60)
MAX_STEPS = 20_000


def flows_of_routes(problem: Problem) -> list[int]:
    """Return what the route found within each path passes, in 1e-6 tokens/s."""
    routes = [find_route(problem, path, SolveOptions()) for path in place_paths(problem)]
    return [max_flow(build_network(problem.spec, sorted(r))).value for r in routes if r]


def test_a_route_is_found_where_trying_every_chain_finds_one_and_nowhere_else() -> None:
    num_found = num_none = 0
    for seed in SEEDS:
        spec = random_spec(seed, WILD, 1.0)
        problem = build_problem(spec)
        if any(host_class.must_serve for host_class in problem.classes):
            continue
        try:
            is_there = has_route(spec, MAX_STEPS)
        except TooMany:
            continue
        flows = flows_of_routes(problem)
        assert any(flows) == is_there, f"seed {seed}"
        num_found += is_there
        num_none += not is_there
    assert num_found > 10
    assert num_none > 10
