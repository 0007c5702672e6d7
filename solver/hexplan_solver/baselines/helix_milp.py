"""Helix's MILP: placement and flow in one, with an integer for every start and a switch a link.

From its description (Mei et al., "Helix: Serving Large Language Models over Heterogeneous GPUs and
Network via Max-Flow", ASPLOS 2025, section 4, and its artifact): start s_i, a binary for every
number of layers that machine i may hold, end e_i = s_i + sum of k hold_ik, a flow and a switch on
every link, partial inference, and a warm start from a heuristic. Its "redundant" rows, which only
force a switch on, are left out, as in the artifact's runs: flow needs nothing but to be kept off
links that are not valid.
"""

from __future__ import annotations

from hexplan_solver.baselines.helix_links import helix_links
from hexplan_solver.baselines.helix_model import helix_model
from hexplan_solver.baselines.helix_rows import add_rows
from hexplan_solver.baselines.helix_start import helix_start
from hexplan_solver.baselines.machines import machines_of
from hexplan_solver.baselines.result import MethodResult, give_up
from hexplan_solver.budget import Budget
from hexplan_solver.milp import MilpResult, solve_milp
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


def place_helix(run: Run, problem: Problem) -> MethodResult:
    """Solve the MILP from the best heuristic until it is proved or the time is up."""
    machines = machines_of(problem)
    links = helix_links(problem.spec, machines)
    helix = helix_model(problem.num_layers, machines, links)
    add_rows(helix, problem.spec, machines)
    start = helix.values_of(helix_start(run, problem, machines, links))
    budget = Budget(run.left_s, watch=run.watcher("helix"))
    result = solve_milp(helix.model, run.options, budget, start)
    if result.values is None:
        why = f"its MILP found none in {run.elapsed_s:.0f} s ({result.status})"
        raise give_up(why)
    ranges = helix.ranges_of(result.values)
    placement = Placement.of(m.stage(*layers) for m, layers in zip(machines, ranges, strict=True))
    found = sum(result.values[helix.flow[link].name] for link in helix.entry)
    return MethodResult(placement, _told(result, found))


def _told(result: MilpResult, found: float) -> str:
    """Say what the MILP itself found and proved, for its own machines and links."""
    proved = "no bound" if result.bound is None else f"bound {result.bound:.3f}"
    return f"MILP {result.status}: incumbent {found:.3f}, {proved} tokens/s"
