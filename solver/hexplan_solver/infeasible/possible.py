"""Whether it is proved that no plan exists, by sums where they do and by a MILP, asked twice."""

from __future__ import annotations

from dataclasses import replace

from hexplan.spec import Spec
from hexplan_solver.infeasible.held import hold_most
from hexplan_solver.infeasible.one_route import has_no_route
from hexplan_solver.infeasible.places import ways_of
from hexplan_solver.infeasible.room import short_layers, unheld_layers
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.chain import fill_chain
from hexplan_solver.problem.problem import Problem, build_problem

HALF_A_LAYER = 0.5
"""A bound on a whole number of layers that is lower by this much proves one layer less."""


def is_impossible(spec: Spec, options: SolveOptions) -> bool:
    """Say whether it is proved that no placement has a route for any request.

    Every route lies within one way through the links, so it is enough that no way has room. False
    where nothing is proved.
    """
    problem = build_problem(spec)
    if _drops_a_pin(problem) or is_too_small(problem, options):
        return True
    return all(
        is_too_small(problem.only(way.hosts), options)
        or (not way.is_complete and has_no_route(problem, way, options))
        for way in ways_of(problem)
    )


def is_too_small(problem: Problem, options: SolveOptions) -> bool:
    """Say whether it is proved that the hosts cannot hold all layers, links ignored."""
    if short_layers(problem) > 0 or unheld_layers(problem):
        return True
    is_pinned = any(c.must_serve and c.hosts for c in problem.classes)
    if not is_pinned and fill_chain(problem) is not None:
        return False
    # Never on one solver status: the second opinion solves another matrix.
    return all(
        most is not None and most < problem.num_layers - HALF_A_LAYER
        for presolve in (True, False)
        for most in [hold_most(problem, replace(options, presolve=presolve)).bound]
    )


def _drops_a_pin(problem: Problem) -> bool:
    """Say whether a host cannot hold the layers that it is pinned to."""
    able = {
        host
        for kind in problem.kinds
        if kind.pin is not None and kind.ranges()
        for host in problem.classes[kind.host_class].hosts
    }
    return any(pin.host not in able for pin in problem.spec.cluster.layer_pins)
