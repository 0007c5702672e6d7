"""The recipe for a sustained rate: the plan that serves most for long."""

from __future__ import annotations

from dataclasses import replace

from hexplan.constants import MICRO
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.objectives.sustained.figures import with_trial
from hexplan_solver.objectives.sustained.search import search
from hexplan_solver.objectives.throughput import try_solve
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.extract import extract_plan
from hexplan_solver.plans.read_back import read_back
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED, Policy

STATIC_SHARE = 0.3
"""Share of the time for the placement of largest flow, which is what the others have to beat."""
NOT_USED = "no placement was found in which it raises the sustained rate"


def solve_sustained(
    spec: Spec,
    options: SolveOptions | None = None,
    report: Report = be_silent,
    policy: Policy = CHUNKED,
) -> Plan:
    """Find the plan that serves most for long, at no worse latency than the plan of largest flow.

    The plan carries its largest static flow and the bound on any; the rate that it sustains has no
    bound, as no proof covers it.

    Raises
    ------
    InfeasibleError
        If no placement exists.
    LimitReached
        If the time was up before one was found.
    """
    run = Run(spec, options or SolveOptions(), report)
    limited = replace(run.options, time_limit_s=max(run.left_s * STATIC_SHARE, 1e-3))
    static = try_solve(replace(spec, objective="throughput"), limited, report)
    certificate = static.certificate
    run.lower(int(certificate.bound_tokens_per_s * MICRO), certificate.bound_proof)
    back = read_back(build_problem(spec), static.stages)
    trial = search(run, back.problem, widest(spec, policy), back.stages)
    network, flow = trial.found.network, trial.found.flow
    plan = extract_plan(back.problem, network, flow, run.proof(flow.value), run.info())
    unused = tuple(
        device
        if spec.cluster.is_excluded(device.host, device.device)
        else device.model_copy(update={"reason": NOT_USED})
        for device in plan.unused
    )
    plan = plan.model_copy(update={"unused": unused, "objective": "sustained"})
    return with_trial(plan, trial)
