"""The recipe: from a plan and a changed spec to a plan that moves few weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.results.replanning import Replanning
from hexplan_solver.bounds.bounds import work_bound
from hexplan_solver.objectives.sustained.figures import with_sustained
from hexplan_solver.objectives.throughput import solve
from hexplan_solver.options import Report, be_silent
from hexplan_solver.plans.extract import extract_plan
from hexplan_solver.plans.read_back import read_back
from hexplan_solver.problem.joins import as_joined
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.replan.descent import candidate_of, search_fewest
from hexplan_solver.replan.flows import Candidate
from hexplan_solver.replan.loss import Loss
from hexplan_solver.replan.movement import Movement
from hexplan_solver.replan.options import ReplanOptions
from hexplan_solver.replan.relabel import relabelled
from hexplan_solver.replan.reroute import reroute
from hexplan_solver.replan.summary import summarise, with_reasons
from hexplan_solver.replan.survivors import Survivors, holdings_of, survivors_of
from hexplan_solver.run import Run

FRESH_SHARE = 0.5
"""Share of the time for a plan as if nothing were in place."""


@dataclass(frozen=True, slots=True)
class Replanned:
    """A new plan, and what it takes to get there."""

    plan: Plan
    summary: Replanning


def replan(
    plan: Plan, loss: Loss, options: ReplanOptions | None = None, report: Report = be_silent
) -> Replanned:
    """Find a plan for a changed spec that moves few weights, whatever the objective was before.

    Parameters
    ----------
    plan
        The plan in force, which keeps every rule.
    loss
        The spec as it is now.

    Raises
    ------
    InfeasibleError
        If no placement exists, or, where only routes may change, none over the stages left.
    LimitReached
        If the time was up before one was found.
    InputError
        If the spec now is for another model.
    """
    options = options or ReplanOptions()
    loss = _rejoined(plan, _for_throughput(plan, loss))
    _require_same_model(plan.model, loss.spec.model)
    run = Run(loss.spec, options.search, report)
    left = survivors_of(build_problem(loss.spec), plan)
    task = _Task(run, plan, loss, options, left)
    return _routes_only(task) if options.routes_only else _fewest_bytes(task)


@dataclass(frozen=True, slots=True)
class _Task:
    run: Run
    plan: Plan
    loss: Loss
    options: ReplanOptions
    left: Survivors


def _for_throughput(plan: Plan, loss: Loss) -> Loss:
    """Plan for throughput, as only there a loss of flow is what is lost."""
    notes = loss.notes
    if plan.objective != "throughput":
        told = f"the plan before was made for {plan.objective}; this one is for throughput"
        notes = (*notes, told)
    return replace(loss, spec=replace(loss.spec, objective="throughput"), notes=notes)


def _rejoined(plan: Plan, loss: Loss) -> Loss:
    """Join the hosts that are joined in the plan before, where the spec now lets them be."""
    cluster = loss.spec.cluster
    before = (tuple(part.name for part in host.parts) for host in plan.cluster.hosts)
    way = tuple(names for names in before if names in cluster.limits.join)
    return replace(loss, spec=replace(loss.spec, cluster=as_joined(cluster, way)))


def _require_same_model(before: Model, after: Model) -> None:
    blank = {"path": None, "config_sha256": None, "name": "", "max_context": 1}
    if before.model_copy(update=blank) != after.model_copy(update=blank):
        message = f"the plan is for {before.name}, and the spec for another model, {after.name}"
        raise InputError(message, hint="a replan moves weights of one model; use `hexplan solve`")


def _routes_only(task: _Task) -> Replanned:
    run, left = task.run, task.left
    network, flow = reroute(left)
    run.lower(work_bound(left.problem), "work bound: exact arithmetic over all layer counts")
    if task.loss.keeps_bounds:
        _lower(run, task.plan, "bound of the plan before, for more devices")
    found = Candidate(network, flow, 0)
    return _written(task, Movement(left.problem, holdings_of(left.problem, task.plan)), found)


def _fewest_bytes(task: _Task) -> Replanned:
    run, left, options = task.run, task.left, task.options
    fresh = _fresh(task)
    _lower(run, fresh, fresh.certificate.bound_proof)
    back = read_back(left.problem, fresh.stages)
    movement = Movement(back.problem, holdings_of(back.problem, task.plan))
    similar = candidate_of(movement, relabelled(movement, back.stages))
    kept = candidate_of(movement, left.stages)
    best_flow = max(similar.flow.value, kept.flow.value)
    target = math.ceil(best_flow * (1 - options.max_loss))
    run.tell("survivors", kept.flow.value / MICRO)
    found, bound = search_fewest(run, movement, (similar, kept), target)
    flows = (max(best_flow, found.flow.value), kept.flow.value)
    facts = _Facts(*flows, similar.moved_bytes, bound)
    return _written(task, movement, found, facts)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a search learned beside its result."""

    fresh_flow: int
    kept_flow: int
    fresh_bytes: int
    fewest_bytes: int | None


def _fresh(task: _Task) -> Plan:
    """Solve the changed spec as if nothing were in place."""
    limit_s = task.run.left_s * FRESH_SHARE
    return solve(task.loss.spec, replace(task.options.search, time_limit_s=limit_s))


def _lower(run: Run, plan: Plan, how: str) -> None:
    run.lower(int(plan.certificate.bound_tokens_per_s * MICRO), how)


def _written(
    task: _Task, movement: Movement, found: Candidate, facts: _Facts | None = None
) -> Replanned:
    """Write down the plan and what it takes to get there."""
    run = task.run
    problem, proof = movement.problem, run.proof(found.flow.value)
    plan = extract_plan(problem, found.network, found.flow, proof, run.info())
    summary = summarise(task.plan, plan, movement, found.stages)
    summary = summary.model_copy(
        update={"gone": task.left.gone, "notes": task.loss.notes}
        | ({} if facts is None else _told(facts, task.options.max_loss))
    )
    return Replanned(with_sustained(with_reasons(plan, summary.mode)), summary)


def _told(facts: _Facts, max_loss: Decimal) -> dict[str, object]:
    return {
        "mode": "fewest-bytes",
        "flow_fresh_tokens_per_s": Decimal(facts.fresh_flow) / MICRO,
        "flow_kept_tokens_per_s": Decimal(facts.kept_flow) / MICRO,
        "max_loss": max_loss,
        "moved_bytes_fresh": facts.fresh_bytes,
        "moved_bytes_bound": facts.fewest_bytes,
    }
