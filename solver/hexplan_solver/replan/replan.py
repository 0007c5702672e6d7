"""A plan for a changed spec that moves few weights, from the plan in force."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hexplan.constants import MICRO
from hexplan.engines import ENGINES
from hexplan.errors import InfeasibleError, InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.results.replanning import Replanning
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.objectives.sustained.figures import with_sustained
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons
from hexplan_solver.plans.write import write_plan
from hexplan_solver.problem.joins import as_joined
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.replan.candidate import ReplanCandidate, candidate_of
from hexplan_solver.replan.descent import Known, search_fewest
from hexplan_solver.replan.loss import Loss
from hexplan_solver.replan.movement import Movement
from hexplan_solver.replan.options import ReplanOptions
from hexplan_solver.replan.params import REPLAN_PARAMS
from hexplan_solver.replan.relabel import relabelled
from hexplan_solver.replan.reroute import reroute
from hexplan_solver.replan.summary import Remarks, Rivals, Transition, summarise
from hexplan_solver.replan.survivors import Survivors, holdings_of, survivors_of
from hexplan_solver.run import Run
from hexplan_solver.techniques.choose import with_techniques
from hexplan_solver.techniques.longest import counting_host_memory, may_count_host_memory

ROUTES_KEPT = "no stage is left on it, and this replan moves no weights"
NOT_NEEDED = "the flow asked for is reached without moving weights to it"


@dataclass(frozen=True, slots=True)
class Replanned:
    """A new plan, and a summary of what has to move."""

    plan: Plan
    summary: Replanning


def replan(
    plan: Plan, loss: Loss, options: ReplanOptions | None = None, report: Report = be_silent
) -> Replanned:
    """Find a plan for throughput that moves few weights, whatever the objective was before.

    Parameters
    ----------
    plan
        The plan in force, which keeps every rule.
    loss
        The spec as it is now.

    Raises
    ------
    InfeasibleError
        If no placement exists; if only routes may change, if no route over the stages left exists.
    LimitReached
        If the time was up before one was found.
    InputError
        If the spec is now for another model, or limits plans to an engine of whole replicas.
    """
    options = options or ReplanOptions()
    _require_free_engine(loss)
    loss = _rejoined(plan, _for_throughput(plan, loss))
    _require_same_model(plan.model, loss.spec.model)
    try:
        return _replanned(plan, loss, options, report)
    except InfeasibleError:
        if not may_count_host_memory(loss.spec):
            raise
        # The bound before was not that of plans which need host memory for the longest request.
        loss = replace(loss, spec=counting_host_memory(loss.spec), keeps_bounds=False)
        return _replanned(plan, loss, options, report)


def _replanned(plan: Plan, loss: Loss, options: ReplanOptions, report: Report) -> Replanned:
    run = Run(loss.spec, options.search, report)
    left = survivors_of(build_problem(loss.spec), plan)
    task = _Task(run, plan, loss, options, left)
    return _routes_only(task) if options.routes_only else _fewest_bytes(task)


@dataclass(frozen=True, slots=True)
class _Task:
    """A replan, with what is left of the plan before."""

    run: Run
    plan: Plan
    loss: Loss
    options: ReplanOptions
    left: Survivors


def _for_throughput(plan: Plan, loss: Loss) -> Loss:
    """Set the objective to throughput, since the loss that a user allows is a loss of flow."""
    notes = loss.notes
    if plan.objective != "throughput":
        told = f"the plan before was made for {plan.objective}; this one is for throughput"
        notes = (*notes, told)
    return replace(loss, spec=replace(loss.spec, objective="throughput"), notes=notes)


def _rejoined(plan: Plan, loss: Loss) -> Loss:
    """Join the hosts that are joined in the plan before, if the spec still allows it."""
    cluster = loss.spec.cluster
    before = (tuple(part.name for part in host.parts) for host in plan.cluster.hosts)
    way = tuple(names for names in before if names in cluster.limits.join)
    return replace(loss, spec=replace(loss.spec, cluster=as_joined(cluster, way)))


def _require_free_engine(loss: Loss) -> None:
    engine = ENGINES[loss.spec.cluster.limits.engine]
    if engine.whole_replicas:
        message = f"replan does not keep to what {engine.title} runs (`limits.engine`)"
        raise InputError(message, hint="solve the changed cluster.yaml with `hexplan solve`")


def _require_same_model(before: Model, after: Model) -> None:
    blank = {"path": None, "config_sha256": None, "name": "", "max_context": 1}
    if before.model_copy(update=blank) != after.model_copy(update=blank):
        message = f"the plan is for {before.name}, and the spec for another model, {after.name}"
        raise InputError(message, hint="a replan moves weights of one model; use `hexplan solve`")


def _routes_only(task: _Task) -> Replanned:
    run, left = task.run, task.left
    found = reroute(left)
    run.lower(quick_bound(left.problem))
    if task.loss.keeps_bounds:
        bound = int(task.plan.certificate.bound_tokens_per_s * MICRO)
        run.trust(bound, "before", f"the plan before: {task.plan.certificate.proof.kind} bound")
    movement = Movement(left.problem, holdings_of(left.problem, task.plan))
    return _written(task, movement, ReplanCandidate(found, 0), None)


def _fewest_bytes(task: _Task) -> Replanned:
    run, left, options = task.run, task.left, task.options
    # As if no weights were in place. Its kinds come first among those of the survivors' problem.
    share = REPLAN_PARAMS.fresh_share
    limited = run.nested(run.left_s * share, share)
    fresh = draft_throughput(task.loss.spec, limited)
    run.take(fresh.proof)
    movement = Movement(left.problem, holdings_of(left.problem, task.plan))
    similar = candidate_of(movement, relabelled(movement, fresh.evaluated.placement))
    kept = candidate_of(movement, left.stages)
    best_flow = max(similar.value, kept.value)
    target = math.ceil(best_flow * (1 - options.max_loss))
    run.tell("survivors", kept.value / MICRO)
    found, bound = search_fewest(run, movement, Known(similar, kept), target)
    rivals = Rivals(
        fresh_flow=max(best_flow, found.value),
        kept_flow=kept.value,
        fresh_bytes=similar.moved_bytes,
        fewest_bytes=bound,
        max_loss=options.max_loss,
    )
    return _written(task, movement, found, rivals)


def _written(
    task: _Task, movement: Movement, found: ReplanCandidate, rivals: Rivals | None
) -> Replanned:
    """Return the plan of a candidate, with the summary of what has to move."""
    run, evaluated = task.run, found.evaluated
    idle = IdleReasons(device=ROUTES_KEPT if rivals is None else NOT_NEEDED)
    draft = Draft(evaluated, run.proof(evaluated.value), idle=idle)
    summary = summarise(
        Transition(task.plan, evaluated, movement),
        rivals,
        Remarks(task.left.gone, task.loss.notes),
    )
    plan = with_techniques(write_plan(with_sustained(draft), run.info()))
    return Replanned(plan, summary)
