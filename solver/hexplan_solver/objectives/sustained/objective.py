"""The objective `sustained`: the plan of the largest sustained rate."""

from __future__ import annotations

from dataclasses import replace

from hexplan.spec import Spec
from hexplan_solver.objectives.sustained.figures import with_trial
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.search import search
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import policy_named

NOT_USED = "no placement was found in which it raises the sustained rate"


def draft_sustained(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find the plan that sustains most, at latencies about as short as those of the largest flow.

    The plan states its largest flow and the bound on every flow. Its sustained rate is simulated,
    and there is no bound on that.

    Raises
    ------
    InfeasibleError
        If no placement exists.
    LimitReached
        If the time was up before one was found.
    """
    run = Run(spec, options, report)
    limited = run.nested(run.left_s * SUSTAINED_PARAMS.static_share)
    static = draft_throughput(replace(spec, objective="throughput"), limited, report)
    run.take(static.proof)
    policy = policy_named(spec.cluster.limits.policy)
    trial = search(run, static.evaluated, widest(spec, policy))
    draft = Draft(
        trial.found.evaluated,
        run.proof(trial.found.evaluated.value),
        objective="sustained",
        idle=IdleReasons(device=NOT_USED),
    )
    return with_trial(draft, trial)
