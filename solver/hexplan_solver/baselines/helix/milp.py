"""Helix's MILP: placement and flow in one program.

From its description (Mei et al., "Helix: Serving Large Language Models over Heterogeneous GPUs and
Network via Max-Flow", ASPLOS 2025, section 4) and its artifact. Machine i has an integer start s_i
and a binary hold_ik for every number k of layers that it may hold, so it ends at e_i = s_i + sum of
k hold_ik. Every link has a flow and a switch. A request may enter a machine inside its layers
(partial inference). The search starts from a heuristic's solution.

Helix's "redundant" rows, which force the switch of a valid link on, are left out as in the
artifact's runs: they change nothing, since flow only has to be kept off links that are not valid.
"""

from __future__ import annotations

from hexplan_solver.baselines.helix.links import helix_links
from hexplan_solver.baselines.helix.model import helix_model
from hexplan_solver.baselines.helix.rows import add_rows
from hexplan_solver.baselines.helix.start import helix_start
from hexplan_solver.baselines.machines import machines_of
from hexplan_solver.baselines.result import MethodResult, give_up
from hexplan_solver.budget import Budget
from hexplan_solver.milp import MilpResult, solve_milp
from hexplan_solver.placement.placement import Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run


def place_helix(run: Run, problem: Problem) -> MethodResult:
    """Solve the MILP from the best heuristic until the optimum is proved or the time is up."""
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
    return MethodResult(placement, _status(result, found))


def _status(result: MilpResult, found: float) -> str:
    """Say what the MILP found and proved, for its own machines and links."""
    proved = "no bound" if result.bound is None else f"bound {result.bound:.3f}"
    return f"MILP {result.status}: found {found:.3f}, {proved} tokens/s"
