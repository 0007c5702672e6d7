"""Compare plans for `slo` and `latency` with every uniform configuration.

For `slo`: the largest rates at which 2,000 requests keep the promise, with the same random numbers.
A uniform configuration is tried just above hexplan's rate, and its own rate is sought only if it
keeps that, or if it is the best by the model of steps. For `latency`: the mean seconds of a request
at the rate asked, in simulations with the seeds and times of those that the plan states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from objective_rows import NONE, Row

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.objectives.latency.offered import Offered
from hexplan_solver.objectives.slo.candidate import candidates_of
from hexplan_solver.objectives.slo.judge import Judge, grows, step_below
from hexplan_solver.objectives.slo.search import best_kept
from hexplan_solver.objectives.sustained.candidate import Candidate, tuned, with_flow
from hexplan_solver.objectives.sustained.trial import mean_tpot_s, mean_ttft_s
from hexplan_solver.options import be_silent
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED, Outcome, Poisson, Window, simulate
from hexplan_solver.start.uniform import uniform_placements

PLENTY_S = 3600.0
"""Time for what a uniform configuration reaches."""
HOPELESS = 0.6
"""Uniform configurations below this share of hexplan's rate, by the model of steps, are not
simulated."""
SLOW = 2.0
"""The same for `latency`: what takes so many times as long by the formula as the best so far."""
NEARLY = 1.1
"""And what takes so many times as long in a run of some of the seeds gets no more of them."""


def compare_latency(spec: Spec, plan: Plan) -> Row:
    """Compare mean seconds of a request in the simulation that the plan states."""
    output = spec.workload.output_tokens.mean
    stated = plan.predicted.run
    assert stated is not None, "the time is enough for simulations"
    window = Window(float(stated.duration_s), float(stated.warmup_s))
    traffic = Poisson(float(stated.requests_per_s), spread_lengths(spec.workload))
    best_s, best_name, names = float("inf"), NONE, set()
    for name, found in sorted(_paced(spec), key=lambda pair: guess_s(spec, pair[1])):
        names.add(name)
        if guess_s(spec, found) > best_s * SLOW:
            continue
        outcomes: list[Outcome] = []
        for seed in stated.seeds:
            outcomes.append(
                simulate(found.pipeline, traffic, found.policy, replace(window, seed=seed))
            )
            if any(o.turned_away or o.ttft is None or grows(o) for o in outcomes):
                break
            total_s = mean_ttft_s(outcomes) + (output - 1) * mean_tpot_s(outcomes)
            if total_s > best_s * NEARLY:
                break
        else:
            if total_s < best_s:
                best_s, best_name = total_s, name
    ttft_s, tpot_s = plan.predicted.ttft_s, plan.predicted.tpot_s
    assert ttft_s is not None
    assert tpot_s is not None
    own_s = float(ttft_s + (output - 1) * tpot_s)
    return Row(own_s, best_s, best_name, len(names), is_time=True)


def _paced(spec: Spec) -> Iterator[tuple[str, Candidate]]:
    """Yield each uniform configuration with the largest steps, and with those that serve most."""
    policy = widest(spec, CHUNKED)
    for grid in uniform_placements(build_problem(spec)):
        found = with_flow(grid.evaluated, policy)
        suited = tuned(found)
        yield from [(grid.name, found)] + [(grid.name, suited)] * (suited.policy != policy)


def guess_s(spec: Spec, found: Candidate) -> float:
    """Return the mean time of a request by the formula, more where it is overloaded."""
    offered = Offered.by(spec.workload)
    assert offered is not None
    return offered.guess_s(found) * max(1.0, offered.load_of(found))


def compare_slo(spec: Spec, plan: Plan) -> Row:
    """Compare the largest rates that keep the promise."""
    slo, own = spec.workload.slo, plan.predicted.slo_requests_per_s
    assert slo is not None
    assert own is not None
    run = Run(spec, SolveOptions(time_limit_s=PLENTY_S), be_silent)
    judge = Judge(run, slo)
    step = step_below(float(own))
    problem = build_problem(replace(spec, objective="throughput"))
    found = []
    for grid in uniform_placements(problem):
        draft = Draft(grid.evaluated, Proof(grid.evaluated.value, "not sought", "feasible"))
        found.append((grid.name, candidates_of(draft, slo)[0]))
    found.sort(key=lambda item: -item[1].guess)
    best, best_name = 0.0, NONE
    for position, (name, candidate) in enumerate(found):
        if candidate.guess < float(own) * HOPELESS:
            continue
        is_above = judge.short(candidate, step + 1) and judge.long(candidate, step + 1, 2000)
        if position == 0 or is_above:
            kept = best_kept(run, judge, [candidate])
            if kept is not None and kept.rate > best:
                best, best_name = kept.rate, name
    return Row(float(own), best, best_name, len(found))
