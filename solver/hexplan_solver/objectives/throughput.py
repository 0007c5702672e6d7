"""The objective `throughput`: the largest flow, and a bound on every flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from hexplan.bound_proof import CrossingProof
from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.bounds.crossing_bound import crossing_bound
from hexplan_solver.bounds.layered_bound import LAYERED_BY, layered_bound
from hexplan_solver.bounds.pattern_bound import pattern_bound
from hexplan_solver.bounds.proof import Proved
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.budget import Budget
from hexplan_solver.flow.evaluate import Evaluated, better_of, evaluate_used
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.links.fit import fit_links
from hexplan_solver.milp import MilpStatus
from hexplan_solver.objectives.params import THROUGHPUT_PARAMS
from hexplan_solver.objectives.robust import least_flow
from hexplan_solver.objectives.shallowness import Shallowness
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.stage_counts import StageCounts
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.problem.zones import LinkLimits, link_limits
from hexplan_solver.replicas.draft import draft_of_replicas
from hexplan_solver.replicas.free import free_replicas
from hexplan_solver.replicas.pool import is_of_replicas
from hexplan_solver.run import MILP_TOLERANCE, Run
from hexplan_solver.start.link_free import (
    LinkFreePlacement,
    balanced_placement,
    better_placement,
    first_placement,
)
from hexplan_solver.start.slices import num_devices


def draft_throughput(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find a plan of large flow, and prove a bound on the flow of every plan.

    Raises
    ------
    InfeasibleError
        If it is proved that no plan exists.
    LimitReached
        If the time was up before one was found.
    InputError
        If the solver that `options` names is not installed.
    """
    run = Run(spec, options, report)
    problem = build_problem(spec)
    refuse_if_infeasible(problem)
    run.lower(quick_bound(problem))
    limits, params = link_limits(problem, run.bound), THROUGHPUT_PARAMS
    crossing = crossing_bound(problem, limits.zones, run.bound)
    run.lower(Proved(crossing, _crossing_proof(problem, limits)))
    run.trust(layered_bound(problem, run.bound), "layered", LAYERED_BY)
    if is_of_replicas(problem):
        return draft_of_replicas(run, problem, least_flow if options.is_robust else None)
    named, until = _Named(problem), run.elapsed_s + run.left_s * params.balanced_share
    balanced = balanced_placement(problem, run.bound, goes_on=lambda: run.elapsed_s < until)
    part = _part_without_links(named, limits, balanced)
    known: list[Evaluated] = []
    if part < 1:
        known = [*quick_placements(run, problem, _quick_s(run, problem)), *_replicas(run, problem)]
    start, best = _best_without_links(run, problem, balanced, part)
    placed = named.evaluated(best)
    if part == 1 and not run.is_proved(placed.value):
        carried = placed.value if placed.value >= best.value * (1 - MILP_TOLERANCE) else 0
        known = quick_placements(run, problem, _quick_s(run, problem), carried)
        known += _replicas(run, problem)
    found = fit_links(run, placed, [best, start, balanced], known)
    if part < 1 and found.value >= best.value and not run.is_proved(found.value):
        # The links do not limit the flow, so the time that was kept for them is left.
        again = first_placement(problem, run.options, run.left_s * params.start_share, balanced)
        if again.value > found.value:
            placed = named.evaluated(again)
            found = better_of(found, fit_links(run, placed, [again]))
            best = again
    found = _with_time_left(run, named, found, best)
    without_links = [named.evaluated(one) for one in (start, balanced) if one.value >= found.value]
    others = [placed, *known, *without_links]
    if options.is_robust:
        chosen = max([found, *(one for one in others if one.value)], key=least_flow)
    else:
        chosen = _shallowest(found, others)
    return Draft(chosen, run.proof(chosen.value))


def _shallowest(found: Evaluated, others: Sequence[Evaluated]) -> Evaluated:
    """Return the shallowest of the placements that pass as much, up to the MILP's tolerance."""
    least = found.value * (1 - MILP_TOLERANCE)
    return min([found, *(one for one in others if one.value >= least)], key=Shallowness.of)


def _replicas(run: Run, problem: Problem) -> list[Evaluated]:
    """Return the whole replicas of largest flow: few, as walks begin from each of them."""
    return free_replicas(run, problem)[: THROUGHPUT_PARAMS.most_replicas]


def _quick_s(run: Run, problem: Problem) -> float:
    """Return the seconds that the quick methods may take."""
    params = THROUGHPUT_PARAMS
    seconds = min(run.limit_s * params.quick_share, run.left_s)
    is_small = num_devices(problem) <= params.quick_devices
    return max(seconds, params.quick_least_s) if is_small else seconds


def _with_time_left(
    run: Run, named: _Named, found: Evaluated, best: LinkFreePlacement
) -> Evaluated:
    """Use the time that is left for more rounds where no link binds: a bound, then a placement.

    They end after some without any gain. As they are counted, a search that ends before its limit
    is the same everywhere.
    """
    problem, params = found.problem, THROUGHPUT_PARAMS
    least_s = run.limit_s * params.least_round_share
    stale = 0
    for number in range(1, 1 + int(run.effort_s / params.round_s)):
        binds = found.value < best.value * (1 - MILP_TOLERANCE)
        if binds or problem.is_pinned or run.is_proved(found.value):
            break
        if stale == params.stale_rounds or run.left_s < least_s:
            break
        before = run.bound, found.value
        budget = Budget(run.left_s * params.round_bound_share, run.bound, found.value)
        proved = pattern_bound(problem, budget)
        if proved is not None:
            run.lower(proved)
        options = replace(run.options, seed=run.options.seed + number)
        watch = run.watcher("layers")
        budget = Budget(run.left_s * params.round_placement_share, run.bound, watch=watch)
        again = better_placement(problem, best, options, budget)
        run.tighten(again.bound, again.value)
        if again.value > best.value:
            best = again
            placed = named.evaluated(again)
            found = better_of(found, fit_links(run, placed, [again], [found]))
        stale = stale + 1 if (run.bound, found.value) == before else 0
    return found


class _Named:
    """Placements on named devices, each evaluated once: on large clusters it takes seconds."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._known: dict[StageCounts, Evaluated] = {}

    def evaluated(self, placement: LinkFreePlacement) -> Evaluated:
        """Name the devices of a placement's stages, and drop the stages without flow."""
        counts = placement.counts
        if counts not in self._known:
            self._known[counts] = evaluate_used(self._problem, place(self._problem, counts))
        return self._known[counts]


def _crossing_proof(problem: Problem, limits: LinkLimits) -> CrossingProof:
    """Return the zones of a crossing bound by their sites; a single one limits nothing."""
    site_of = problem.spec.cluster.site_of
    zones = (tuple(dict.fromkeys(map(site_of, zone.hosts))) for zone in limits.zones)
    return CrossingProof(zones=tuple(zones) if limits.is_zoned else ())


def _part_without_links(named: _Named, limits: LinkLimits, balanced: LinkFreePlacement) -> float:
    """Return the share of the usual time for placements without links.

    Where links limit the flow, fitting them needs the rest. Whether network cards and single links
    do is seen from a placement that ignores them.
    """
    params = THROUGHPUT_PARAMS
    if limits.has_trunks:
        return params.zone_share if limits.is_zoned else params.trunk_share
    if not balanced.value:
        return 1.0
    carried = named.evaluated(balanced).value
    return 1.0 if carried >= balanced.value * (1 - MILP_TOLERANCE) else params.link_share


def _best_without_links(
    run: Run, problem: Problem, balanced: LinkFreePlacement, part: float
) -> tuple[LinkFreePlacement, LinkFreePlacement]:
    """Find a first and a best placement with the links ignored, and lower the bound on the way.

    Parameters
    ----------
    part
        Share of the usual time that this may take.
    """
    options, params = run.options, THROUGHPUT_PARAMS
    start = first_placement(problem, options, run.left_s * params.start_share * part, balanced)
    run.tell("start", start.value / MICRO)
    budget = Budget(run.left_s * params.bound_share * part, run.bound, start.value)
    proved = pattern_bound(problem, budget)
    if proved is not None:
        run.lower(proved)
    watch = run.watcher("layers")
    budget = Budget(run.left_s * params.milp_share * part, run.bound, watch=watch)
    best = better_placement(problem, start, options, budget)
    run.tighten(best.bound, best.value)
    run.status = best.status
    if best.value == 0:
        _refuse(run, problem, start)
    run.tell("placed", best.value / MICRO)
    return start, best


def _refuse(run: Run, problem: Problem, start: LinkFreePlacement) -> NoReturn:
    """Raise because there is no placement.

    Two runs of the MILP have to agree that none exists, the second without the solver's presolve:
    otherwise the error only says that none was found.
    """
    if run.status == MilpStatus.INFEASIBLE:
        options = replace(run.options, presolve=False)
        budget = Budget(run.limit_s, run.bound, watch=run.watcher("layers"))
        second = better_placement(problem, start, options, budget)
        if second.status is MilpStatus.INFEASIBLE:
            message = "no placement holds every layer under the pins, though the memory would do"
            raise InfeasibleError(
                message, hint="loosen `pin`: a pinned host serves only its layers"
            )
    message = f"no placement was found in {run.elapsed_s:.0f} s ({run.status})"
    raise LimitReached(message, hint="raise `limits.time`, or loosen `pin` if there is any")
