"""The search for a placement, and a split of the rate over its routes, with fast requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hexplan.constants import MICRO, QUEUEING_BASIS
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.demand import needed_flow, too_high
from hexplan_solver.objectives.latency.candidates import chains, grids
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.routed import Routed, faster_of, routed
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons, Latency
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run

NOT_FASTER = "no placement was found in which it shortens a request"


def draft_latency(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find a plan that carries the workload's rate at a small mean time of a request.

    The placement of largest flow is tried, uniform ones, chains side by side, those of the quick
    methods, and placements on fewer and faster hosts. The rate is split over the routes of each so
    that the mean time by the queueing model is least. There is no proof that no other placement
    does better.

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
    run.take(first.proof)
    if first.value < needed:
        raise too_high(spec, first, run.bound, run.how)
    best = routed(first.evaluated, needed)
    for found in _candidates(run, first.evaluated.problem, whole, needed):
        if found is not None and faster_of(best, found) is found:
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


def _candidates(run: Run, problem: Problem, spec: Spec, needed: int) -> Iterator[Routed | None]:
    """Yield placements with their split, those that take least time to find first."""

    def goes_on() -> bool:
        run.tell("latency", None)
        return run.left_s > 0

    if not problem.is_pinned:
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
    effort = (1 - LATENCY_PARAMS.first_share) / max(1, len(variants))
    for index, variant in enumerate(variants):
        options = run.nested(run.left_s / (len(variants) - index), effort)
        try:
            yield draft_throughput(variant, options).evaluated
        except (InfeasibleError, LimitReached):
            continue
