"""Whether it is proved that no plan exists: by sums if they suffice, or by a MILP solved twice."""

from __future__ import annotations

from hexplan.spec import Spec
from hexplan_solver.infeasible.capacity import missing_layers, unheld_layers
from hexplan_solver.infeasible.most_layers import cannot_hold
from hexplan_solver.infeasible.one_route import has_no_route
from hexplan_solver.infeasible.params import INFEASIBLE_PARAMS
from hexplan_solver.infeasible.places import place_paths
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.chain import fill_chain
from hexplan_solver.problem.problem import Problem, build_problem


def is_impossible(spec: Spec, options: SolveOptions) -> bool:
    """Say whether it is proved that no placement has a route for any request.

    Every route lies within one path of places, so it is enough that each path lacks room or a
    route. False if nothing is proved.
    """
    problem = build_problem(spec)
    if _drops_a_pin(problem) or is_too_small(problem, options):
        return True
    return all(
        is_too_small(problem.only(path.hosts), options)
        or (not path.is_complete and has_no_route(problem, path, options))
        for path in place_paths(problem)
    )


def is_too_small(problem: Problem, options: SolveOptions) -> bool:
    """Say whether it is proved that the hosts cannot hold all layers, links ignored."""
    if missing_layers(problem) > 0 or unheld_layers(problem):
        return True
    is_pinned = any(c.must_serve and c.hosts for c in problem.classes)
    if not is_pinned and fill_chain(problem) is not None:
        return False
    return cannot_hold(problem, problem.num_layers - INFEASIBLE_PARAMS.margin, options)


def _drops_a_pin(problem: Problem) -> bool:
    """Say whether a host cannot hold the layers that it is pinned to."""
    able = {
        host
        for kind in problem.kinds
        if kind.pin is not None and kind.ranges()
        for host in problem.classes[kind.host_class].hosts
    }
    return any(pin.host not in able for pin in problem.spec.cluster.layer_pins)
