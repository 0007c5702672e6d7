"""The objective `slo`: the plan that keeps the workload's SLO at the largest simulated rate."""

from __future__ import annotations

from dataclasses import replace

from hexplan.constants import PROMISE_BASIS
from hexplan.errors import InputError, LimitReached
from hexplan.spec import Spec
from hexplan.step_limits import StepLimits
from hexplan.workload import Slo
from hexplan_solver.objectives.slo.candidate import SloCandidate
from hexplan_solver.objectives.slo.judge import Judge, Kept, lowest_step, rate_at
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.objectives.slo.search import best_kept
from hexplan_solver.objectives.slo.shortlist import shortlist
from hexplan_solver.objectives.sustained.figures import rate_run, sustained_rate
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import Draft, IdleReasons, Latency
from hexplan_solver.run import Run
from hexplan_solver.served.stated import stated_rate

NOT_FASTER = "no placement was found in which it raises the rate that keeps the promise"


def draft_slo(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find the plan whose simulated requests keep the SLO at the largest rate.

    Uniform placements, those of the quick methods and plans of large flow are compared by a model
    of steps, the best of them by short simulations, and the best of these by long ones, all with
    the same random numbers and at the same rates. There is no proof that no other plan does
    better.

    Raises
    ------
    InfeasibleError
        If no plan exists.
    LimitReached
        If no candidate keeps the SLO at any rate that was tried.
    InputError
        If the workload names no SLO.
    """
    run = Run(spec, options, report)
    slo = spec.workload.slo
    if slo is None:
        message = "the objective `slo` needs `workload.slo`"
        raise InputError(message, hint="such as `slo: {ttft: 2s, tpot: 100ms}`")
    whole, share = replace(spec, objective="throughput"), SLO_PARAMS.first_share
    first = draft_throughput(whole, run.nested(run.left_s * share, share))
    run.take(first.proof)
    candidates = shortlist(run, whole, first, slo)
    judge = Judge(run, slo)
    best = best_kept(run, judge, candidates)
    if best is None:
        raise _unkept(judge, slo, candidates)
    return _finished(run, spec, best)


def _unkept(judge: Judge, slo: Slo, candidates: list[SloCandidate]) -> LimitReached:
    asked = f"{float(slo.ttft_s):g} s to the first token and {float(slo.tpot_s):g} s a token"
    message = f"no plan was found that keeps {asked} for {slo.attainment:%} of requests"
    if not candidates:
        return LimitReached(message)
    rate = rate_at(lowest_step(candidates[0]))
    outcome = judge.outcome(candidates[0], rate, SLO_PARAMS.short_requests)
    means = [spread.mean_s for spread in (outcome.ttft, outcome.tpot) if spread is not None]
    shown = " and ".join(f"{mean:.3g} s" for mean in means)
    return LimitReached(message, hint=f"even at a low rate the means are {shown}; loosen `slo`")


def _finished(run: Run, spec: Spec, best: Kept) -> Draft:
    """Put the draft back on the user's cluster, with what was simulated."""
    draft, policy = best.candidate.draft, best.candidate.policy
    # A rehearsal knows no phases.
    stated = (
        None
        if best.candidate.is_split
        else stated_rate(best.candidate.pipeline, spec.workload, policy)
    )
    ttft, tpot = best.outcome.ttft, best.outcome.tpot
    assert policy.chunk_tokens is not None, "hexplan's own policy cuts prompts into chunks"
    return replace(
        draft,
        objective="slo",
        cluster=spec.cluster,
        proof=replace(run.proof(draft.value), status="feasible"),
        idle=IdleReasons(device=NOT_FASTER),
        slo_requests_per_s=best.rate,
        sustained=None if stated is None else sustained_rate(stated, policy),
        step_limits=StepLimits(tokens=policy.chunk_tokens, decodes=policy.max_decode_tokens),
        latency=Latency(
            None if ttft is None else ttft.mean_s,
            None if tpot is None else tpot.mean_s,
            PROMISE_BASIS.format(requests=best.outcome.finished),
            rate_run(best.rate, best.window, policy, [best.outcome]),
        ),
    )
