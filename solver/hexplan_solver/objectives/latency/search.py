"""The search for a placement, and a split of the rate over its routes, with fast requests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hexplan.constants import MICRO, QUEUEING_BASIS
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.routes import Flow
from hexplan_solver.objectives.demand import needed_flow, too_high
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.split import Times, split_rate, times_of
from hexplan_solver.objectives.latency.stations import station_of
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons, Latency
from hexplan_solver.run import Run

NOT_FASTER = "no placement was found in which it shortens a request"


def draft_latency(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find a plan that carries the workload's rate at a small mean time of a request.

    The placement of largest flow is tried, and placements on fewer and faster hosts. The rate is
    split over the routes of each so that the mean time by the queueing model is least. There is no
    proof that no other placement does better.

    Raises
    ------
    InfeasibleError
        If no plan carries the rate.
    LimitReached
        If no plan was found that does.
    """
    run = Run(spec, options, report)
    needed = needed_flow(spec)
    whole = replace(spec, objective="throughput")
    first_share = LATENCY_PARAMS.first_share
    first = draft_throughput(whole, run.nested(run.left_s * first_share, first_share))
    run.lower(first.proof.micro_tokens_per_s, first.proof.how)
    if first.value < needed:
        raise too_high(spec, first, run.bound, run.how)
    best = _routed(first.evaluated, needed)
    variants = list(variants_of(whole))
    for index, variant in enumerate(variants):
        limit_s = run.left_s / (len(variants) - index)
        try:
            options = run.nested(limit_s, (1 - first_share) / len(variants))
            draft = draft_throughput(variant, options)
        except (InfeasibleError, LimitReached):
            continue
        found = _routed(draft.evaluated, needed)
        if found is not None and (best is None or found.times.total_s < best.times.total_s):
            best = found
            run.tell("latency", needed / MICRO)
    if best is None:
        raise too_high(spec, first, run.bound, run.how)
    return Draft(
        best.evaluated,
        replace(run.proof(best.evaluated.value), status="feasible"),
        objective="latency",
        cluster=spec.cluster,
        idle=IdleReasons(device=NOT_FASTER),
        latency=Latency(
            best.times.ttft_s,
            best.times.tpot_s,
            f"{QUEUEING_BASIS}{', '.join(best.origins)}",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Routed:
    """A placement with a split of the rate, and the times of its requests."""

    evaluated: Evaluated
    times: Times
    origins: tuple[str, ...]


def _routed(found: Evaluated, needed: int) -> _Routed | None:
    """Split the rate over a placement, and leave out the stages that the split does not use.

    It is split once more without them, since fewer connections share the network cards then.
    """
    if found.value < needed:
        return None
    problem, stages = found.problem, found.placement
    for _ in range(2):
        network = build_network(problem.spec, stages)
        timed = [station_of(problem, stage) for stage in network.stages]
        stations = [t.station for t in timed]
        paths = split_rate(problem, network, stations, needed)
        value = sum(path.amount for path in paths)
        if value < needed:
            return None
        stages = Evaluated(problem, network, Flow(value, paths, ())).needed
        if len(stages) == len(network.stages):
            break
    flow = Flow(value, paths, max_flow(network).cut)
    times = times_of(problem, network, stations, paths)
    return _Routed(
        Evaluated(problem, network, flow), times, tuple(sorted({t.origin for t in timed}))
    )
