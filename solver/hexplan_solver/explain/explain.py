"""The explanation of a plan, put together from its parts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.plan import Phase, Plan
from hexplan.results.explanation import Explanation, Gain, GapPart, PhaseStages
from hexplan.spec import Spec
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.explain.bottleneck import bottleneck_of
from hexplan_solver.explain.changes import faster, more_of_each_kind
from hexplan_solver.explain.degrees import degrees_of
from hexplan_solver.explain.engine_cost import engine_cost
from hexplan_solver.explain.gains import gain_of
from hexplan_solver.explain.idle import idle_devices
from hexplan_solver.explain.params import EXPLAIN_PARAMS
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.options import Progress, Report, SolveOptions, be_silent
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.read_back import read_back, replica_numbers
from hexplan_solver.problem.problem import Problem, build_problem


def explain(
    plan: Plan, search: SolveOptions | None = None, report: Report = be_silent
) -> Explanation:
    """Say what limits a plan, what would raise its flow, and why its stages are as they are.

    Parameters
    ----------
    plan
        A plan that keeps every rule.
    search
        How to search each changed cluster, with a time limit for each; None for bounds alone.
    """
    spec = Spec.of(plan)
    back = read_back(build_problem(spec), plan.stages, replica_numbers(plan))
    sent = plan.certificate.flow_tokens_per_s
    plan = _at_largest_flow(plan, spec, back.stages)
    certificate = plan.certificate
    work = work_bound(back.problem)
    return Explanation(
        flow_tokens_per_s=certificate.flow_tokens_per_s,
        sent_tokens_per_s=sent if sent < certificate.flow_tokens_per_s else None,
        bound_tokens_per_s=certificate.bound_tokens_per_s,
        bound_proof=certificate.proof.sentence,
        work_bound_tokens_per_s=_tokens(work),
        gap_parts=tuple(_gap_parts(plan, back.problem, back.stages)),
        bottleneck=bottleneck_of(spec, plan, back.stages),
        gains=_gains(plan, spec, back.stages, search, report),
        idle=idle_devices(back.problem, plan, back.stages),
        degrees=degrees_of(back.problem, plan, back.stages),
        engine=None if search is None else engine_cost(plan, spec, search),
        phases=tuple(_phases(plan)),
        techniques=plan.techniques,
    )


def _at_largest_flow(plan: Plan, spec: Spec, stages: Sequence[PlacedStage]) -> Plan:
    """Return the plan with the largest flow of its stages.

    A plan for a given rate sends only that, so nothing is used up; what limits it shows only here.
    """
    largest = _tokens(max_flow(build_network(spec, stages)).value)
    if largest <= plan.certificate.flow_tokens_per_s:
        return plan
    certificate = plan.certificate.model_copy(update={"flow_tokens_per_s": largest})
    return plan.model_copy(update={"certificate": certificate})


def _phases(plan: Plan) -> Iterator[PhaseStages]:
    """Yield the stages of each phase, if they differ in it."""
    phases: tuple[Phase, ...] = ("prefill", "decode", "both")
    for phase in phases if plan.is_split else ():
        names = tuple(stage.id for stage in plan.stages if stage.phase == phase)
        if names:
            yield PhaseStages(phase=phase, stages=names)


def _gains(
    plan: Plan,
    spec: Spec,
    stages: Sequence[PlacedStage],
    search: SolveOptions | None,
    report: Report,
) -> tuple[Gain, ...]:
    begun_s = time.monotonic()
    changes = [*more_of_each_kind(build_problem(spec)), *faster(plan, spec)]
    if search is not None and search.time_limit_s is None:
        search = replace(search, time_limit_s=EXPLAIN_PARAMS.search_s)
    gains = []
    for number, change in enumerate(changes, 1):
        phase = f"{number} of {len(changes)}, {change.words}"
        report(Progress(phase, None, None, time.monotonic() - begun_s))
        gains.append(gain_of(plan, stages, change, search))
    return tuple(gains)


def _gap_parts(plan: Plan, problem: Problem, stages: Sequence[PlacedStage]) -> Iterator[GapPart]:
    """Split the gap in two, at the flow that the placement would have with unlimited links."""
    flow = plan.certificate.flow_tokens_per_s
    bound = plan.certificate.bound_tokens_per_s
    free = min(bound, _tokens(_covered(problem, stages)))
    if free > flow:
        what = "lost on links: this much more would pass if the links carried everything"
        yield GapPart(what=what, tokens_per_s=free - flow)
    if bound > max(free, flow):
        what = "open: no placement was found that passes it, and no proof that none does"
        yield GapPart(what=what, tokens_per_s=bound - max(free, flow))


def _covered(problem: Problem, stages: Sequence[PlacedStage]) -> int:
    """Return the summed speed over the least covered layer: the flow with unlimited links."""
    layers = range(problem.num_layers)
    return min(sum(s.rate for s in stages if s.layers[0] <= n < s.layers[1]) for n in layers)


def _tokens(micro: int) -> Decimal:
    return Decimal(micro) / MICRO
