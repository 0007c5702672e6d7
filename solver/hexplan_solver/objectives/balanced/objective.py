"""The objective `balanced`: from a spec to a draft."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hexplan.constants import BALANCED_BASIS, MICRO
from hexplan.predicted import RateRun
from hexplan.spec import Spec
from hexplan.workload import Balance, HeldBack, JudgedBy
from hexplan_solver.objectives.balanced.choice import Balanced
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.balanced.search import search
from hexplan_solver.objectives.sustained.candidate import Candidate
from hexplan_solver.objectives.sustained.figures import rate_run, with_estimate, with_trial
from hexplan_solver.objectives.sustained.trial import Judged, Trial
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons, Latency
from hexplan_solver.plans.predicted import figure
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import policy_named

NOT_USED = "no placement was found in which it raises the rate at the latencies that are allowed"


def draft_balanced(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find the plan that sustains most at latencies near those of the shallowest plan.

    The plan states its largest flow and the bound on every flow. Its sustained rate comes from
    trials in the simulator, or from the formula where these would take too long; there is no bound
    on it.

    Raises
    ------
    InfeasibleError
        If no placement exists.
    LimitReached
        If the time was up before one was found.
    """
    run = Run(spec, options, report)
    limited = replace(run.nested(_static_s(run, spec)), patience=BALANCED_PARAMS.patience)
    static = draft_throughput(replace(spec, objective="throughput"), limited, report)
    run.take(static.proof)
    factor = spec.cluster.limits.latency_factor
    policy = widest(spec, policy_named(spec.cluster.limits.policy))
    found = search(run, static.evaluated, policy, float(factor))
    evaluated = found.chosen.found.evaluated
    draft = Draft(
        evaluated,
        run.proof(evaluated.value),
        objective="balanced",
        idle=IdleReasons(device=NOT_USED),
    )
    if isinstance(found.chosen, Trial):
        draft = with_trial(draft, found.chosen)
    else:
        draft = with_estimate(draft, found.chosen.found)
    return balanced_draft(draft, found, factor)


def _static_s(run: Run, spec: Spec) -> float:
    """Return the seconds for the plan of largest flow."""
    params = BALANCED_PARAMS
    devices = sum(len(host.devices) for host in spec.cluster.hosts)
    enough_s = max(params.static_least_s, params.static_device_s * devices)
    return min(run.left_s * params.static_share, enough_s)


def balanced_draft(draft: Draft, found: Balanced, factor: Decimal) -> Draft:
    """Add the latencies of the plan, and those that were allowed."""
    chosen, shallowest = found.chosen, found.shallowest
    is_simulated = isinstance(chosen, Trial)
    if not is_simulated and chosen.found.served.tpot_s is None:
        return draft  # the formula knows no latencies where prompts run whole
    how: JudgedBy = "simulation" if is_simulated else "formula"
    balance = Balance(
        factor=factor,
        ttft_s=figure(shallowest.ttft_s) * factor,
        tpot_s=figure(shallowest.tpot_s) * factor,
        hops=figure(shallowest.found.served.hops),
        judged_by=how,
        held_back=_held_back(chosen.found),
    )
    basis = BALANCED_BASIS.format(judged_by=how)
    latency = Latency(chosen.ttft_s, chosen.tpot_s, basis, _run_of(chosen))
    return replace(draft, latency=latency, balance=balance)


def _held_back(found: Candidate) -> HeldBack | None:
    """Return the routes that are held back, by their positions in the plan."""
    if found.held is None:
        return None
    paths = found.evaluated.flow.paths
    routes = tuple(i for i, path in enumerate(paths) if path.stages in found.held.chains)
    part = Decimal(found.held.millionths) / MICRO
    return HeldBack(part=part, routes=routes) if routes else None


def _run_of(chosen: Judged) -> RateRun | None:
    """Return the simulation that the latencies come from; None if they come from the formula."""
    if not isinstance(chosen, Trial):
        return None
    rate = chosen.loaded_requests_per_s
    return rate_run(rate, chosen.window, chosen.found.policy, chosen.loaded)
