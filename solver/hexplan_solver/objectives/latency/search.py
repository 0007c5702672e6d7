"""The search for a placement, and a split of the rate over its routes, with fast requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from hexplan.constants import MICRO, QUEUEING_BASIS
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.demand import needed_flow, overloaded, too_high
from hexplan_solver.objectives.latency.candidates import chains, grids
from hexplan_solver.objectives.latency.choice import choose
from hexplan_solver.objectives.latency.contenders import (
    from_queueing,
    from_starts,
    from_uniform,
    in_turn,
)
from hexplan_solver.objectives.latency.offered import Offered
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.rate_trial import RateTrial
from hexplan_solver.objectives.latency.routed import Routed, routed
from hexplan_solver.objectives.sustained.budget import EffortBudget, share_for
from hexplan_solver.objectives.sustained.figures import with_estimate
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons, Latency
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.pool import is_of_replicas, replica_pool
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import policy_named

NOT_FASTER = "no placement was found in which it shortens a request"


def draft_latency(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find a plan that carries the workload's rate at a small mean time of a request.

    The placement of largest flow is tried, uniform ones, chains side by side, those of the quick
    methods, and placements on fewer and faster hosts, with the rate split over the routes of each
    so that the mean time by the queueing model is least; and those from which a plan for the
    sustained rate starts. The best of both are simulated at the rate. There is no proof that no
    other placement does better.

    Raises
    ------
    InfeasibleError
        If the rate is above the bound on every flow, and no plan found carries it in the
        simulation.
    LimitReached
        If no plan was found that carries it, in simulations or by what its steps serve.
    """
    run = Run(spec, options, report)
    needed = needed_flow(spec)
    whole = replace(spec, objective="throughput")
    first_share = LATENCY_PARAMS.first_share
    first = draft_throughput(whole, run.nested(run.left_s * first_share, first_share))
    run.take(first.proof)
    by_model = _by_model(run, first.evaluated, whole, needed)
    trial = _simulated(run, first.evaluated, by_model, needed)
    if trial is not None:
        draft = _draft(run, spec, trial.found.evaluated, trial.latency)
        return with_estimate(draft, trial.found)
    if not by_model:
        raise too_high(spec, first, run.bound, run.how)
    best = by_model[0]
    basis = f"{QUEUEING_BASIS}{', '.join(best.origins)}"
    times = Latency(best.times.ttft_s, best.times.tpot_s, basis)
    return _draft(run, spec, best.evaluated, times)


def _draft(run: Run, spec: Spec, evaluated: Evaluated, latency: Latency) -> Draft:
    return Draft(
        evaluated,
        replace(run.proof(evaluated.value), status="feasible"),
        objective="latency",
        cluster=spec.cluster,
        idle=IdleReasons(device=NOT_FASTER),
        latency=latency,
    )


def _simulated(
    run: Run, static: Evaluated, by_model: list[Routed], needed: int
) -> RateTrial | None:
    """Return the trial of the fastest candidate; None if there is none, or no time for two.

    Raises
    ------
    LimitReached
        If no candidate carries the rate by the formula, nor in the simulation where it might.
    """
    spec = static.problem.spec
    offered = Offered.by(spec.workload)
    if offered is None or (by_model and not run.left_s):
        return None
    policy = widest(spec, policy_named(spec.cluster.limits.policy))
    by_formula = from_starts(run, offered, static, policy, needed)
    uniform = from_uniform(run, offered, static.problem, policy, needed)
    order = in_turn(from_queueing(offered, by_model, policy), by_formula, uniform)
    # At full load a guess is the stay with a full KV cache, so runs are long enough to show a rise.
    stay_s = min([one.guess_s for one in order if one.load <= 1] or [o.guess_s for o in order])
    offered = replace(offered, stay_s=stay_s)
    expected = [one.found for one in order]
    # Of the later ones, most turn out to be hopeless.
    usual = expected[: LATENCY_PARAMS.leading + 3]
    budget = EffortBudget(run, share_for(run, spec, LATENCY_PARAMS), usual, offered)
    if by_model and not budget.affords(expected[:2]):
        return None
    least_load = min(one.load for one in order)
    is_hopeless = least_load > LATENCY_PARAMS.overload
    trial = None if is_hopeless else choose(offered, order, budget)
    if trial is None and by_model and least_load > 1:
        raise overloaded(spec, offered.requests_per_s / least_load)
    return trial


def _by_model(run: Run, first: Evaluated, spec: Spec, needed: int) -> list[Routed]:
    """Return placements with their split, those of least mean time by the queueing model first."""
    if needed > run.bound:
        return []
    limited = Run(spec, run.nested(run.left_s * LATENCY_PARAMS.model_share), be_silent)
    limited.proved, limited.trusted = run.proved, run.trusted
    best: list[Routed] = []
    found = routed(first, needed)
    for one in chain([found], _candidates(limited, first.problem, spec, needed)):
        if one is None or any(one.times == other.times for other in best):
            continue
        # Sorting is stable, so the first among equals stays the first.
        best = sorted([*best, one], key=lambda other: other.times.total_s)[: LATENCY_PARAMS.kept]
        if best[0] is one:
            run.tell("latency", needed / MICRO)
    return best


def _candidates(run: Run, problem: Problem, spec: Spec, needed: int) -> Iterator[Routed | None]:
    """Yield placements with their split, those that take least time to find first."""

    def goes_on() -> bool:
        run.tell("latency", None)
        return run.left_s > 0

    if is_of_replicas(problem):
        for found in replica_pool(run, problem):
            yield routed(found, needed)
    elif not problem.is_pinned:
        for found in grids(problem, needed, goes_on):
            yield routed(found, needed)
        yield from chains(problem, needed, goes_on)
        for found in quick_placements(run, problem, run.left_s * LATENCY_PARAMS.quick_share):
            yield routed(found, needed)
    for found in _on_fewer_hosts(run, spec):
        yield routed(found, needed)


def _on_fewer_hosts(run: Run, spec: Spec) -> Iterator[Evaluated]:
    """Yield the placement of largest flow on some of the hosts, or with wider stages."""
    variants = list(variants_of(spec))
    effort = LATENCY_PARAMS.variants_effort / max(1, len(variants))
    for index, variant in enumerate(variants):
        options = run.nested(run.left_s / (len(variants) - index), effort)
        try:
            yield draft_throughput(variant, options).evaluated
        except (InfeasibleError, LimitReached):
            continue
