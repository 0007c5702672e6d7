"""The recipe for latency: the placement and split whose requests take least time at a rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.plan import CertificateStatus, Plan
from hexplan.spec import Spec
from hexplan_solver.flow.flow import max_flow
from hexplan_solver.flow.network import Network, build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.objectives.demand import needed_flow, too_high
from hexplan_solver.objectives.latency.split import Times, split_rate, times_of
from hexplan_solver.objectives.latency.stations import Timed, station_of
from hexplan_solver.objectives.throughput import try_solve
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.extract import extract_plan
from hexplan_solver.plans.read_back import read_back
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.run import Run

FIRST_SHARE = 0.4
"""Share of the time for the plan of largest flow; the other candidates share the rest."""
TIME_DIGITS = 6


def solve_latency(
    spec: Spec, options: SolveOptions | None = None, report: Report = be_silent
) -> Plan:
    """Find a plan that carries the workload's rate at a small mean time of a request.

    Several placements are tried, from the one of largest flow to ones of fewer and faster hosts;
    for each the rate is split over its routes so that the queueing model's mean time is least. That
    no other placement does better is not proved.

    Raises
    ------
    InfeasibleError
        If no plan carries the rate.
    LimitReached
        If none was found that does.
    """
    run = Run(spec, options or SolveOptions(), report)
    problem, needed = build_problem(spec), needed_flow(spec)
    whole = replace(spec, objective="throughput")
    first = try_solve(whole, replace(run.options, time_limit_s=run.left_s * FIRST_SHARE))
    proved = first.certificate.bound_tokens_per_s
    run.lower(int(proved * MICRO), first.certificate.bound_proof)
    if first.certificate.flow_tokens_per_s * MICRO < needed:
        raise too_high(spec, first, run.bound, run.how)
    best = _routed(problem, first, needed)
    variants = list(variants_of(whole))
    for index, variant in enumerate(variants):
        limit_s = max(1e-3, run.left_s / (len(variants) - index))
        try:
            plan = try_solve(variant, replace(run.options, time_limit_s=limit_s))
        except (InfeasibleError, LimitReached):
            continue
        found = _routed(problem, plan, needed)
        if found is not None and (best is None or found.times.total_s < best.times.total_s):
            best = found
            run.tell("latency", needed / MICRO)
    if best is None:
        raise too_high(spec, first, run.bound, run.how)
    return _written(run, best)


@dataclass(frozen=True, slots=True)
class _Routed:
    """A placement with its split, and the times that follow."""

    problem: Problem
    network: Network
    flow: Flow
    times: Times
    origins: tuple[str, ...]


def _routed(problem: Problem, plan: Plan, needed: int) -> _Routed | None:
    """Split the rate over a plan's placement, and leave out the stages that it does not use."""
    if plan.certificate.flow_tokens_per_s * MICRO < needed:
        return None
    back = read_back(problem, plan.stages)
    pinned = {pin.host for pin in problem.spec.cluster.layer_pins}
    stages = back.stages
    for _ in range(2):
        network = build_network(problem.spec, stages)
        timed = [station_of(back.problem, stage) for stage in network.stages]
        paths = split_rate(back.problem, network, [t.station for t in timed], needed)
        if sum(path.amount for path in paths) < needed:
            return None
        used = {position for path in paths for position in path.stages}
        stages = tuple(s for i, s in enumerate(network.stages) if i in used or s.host in pinned)
        if len(stages) == len(network.stages):
            break
    return _evaluated(back.problem, network, timed, Flow(needed, paths, max_flow(network).cut))


def _evaluated(problem: Problem, network: Network, timed: list[Timed], flow: Flow) -> _Routed:
    times = times_of(problem, network, [t.station for t in timed], flow.paths)
    value = sum(path.amount for path in flow.paths)
    origins = tuple(sorted({t.origin for t in timed}))
    return _Routed(problem, network, replace(flow, value=value), times, origins)


def _written(run: Run, best: _Routed) -> Plan:
    proof = run.proof(best.flow.value)
    plan = extract_plan(best.problem, best.network, best.flow, proof, run.info())
    basis = f"queueing model of formulation 9 over step times: {', '.join(best.origins)}"
    predicted = plan.predicted.model_copy(
        update={
            "ttft_s": round(Decimal(best.times.ttft_s), TIME_DIGITS),
            "tpot_s": round(Decimal(best.times.tpot_s), TIME_DIGITS),
            "latency_basis": basis,
        }
    )
    unused = tuple(
        u.model_copy(update={"reason": "no placement was found in which it shortens a request"})
        if not best.problem.spec.cluster.is_excluded(u.host, u.device)
        else u
        for u in plan.unused
    )
    certificate = plan.certificate.model_copy(update={"status": CertificateStatus.FEASIBLE})
    return plan.model_copy(
        update={
            "predicted": predicted,
            "unused": unused,
            "certificate": certificate,
            "objective": "latency",
        }
    )
