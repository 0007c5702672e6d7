"""Of trials that are nearly as fast, none is chosen that is slower than a uniform placement."""

from __future__ import annotations

from dataclasses import replace

from support.growing import growing

from hexplan.results.outcome import Outcome, Spread
from hexplan_solver.objectives.latency.choice import best_of
from hexplan_solver.objectives.latency.offered import Offered
from hexplan_solver.objectives.latency.rate_trial import RateTrial, run_at_rate
from hexplan_solver.objectives.sustained.candidate import with_flow
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED
from hexplan_solver.start.uniform import uniform_placements


def measured() -> RateTrial:
    """Return a trial of one uniform placement on a small cluster."""
    spec = growing(1)[1]
    grid = next(uniform_placements(build_problem(replace(spec, objective="throughput"))))
    found = with_flow(grid.evaluated, widest(spec, CHUNKED))
    offered = Offered.by(spec.workload)
    assert offered is not None
    offered = replace(offered, stay_s=offered.guess_s(found))
    return run_at_rate(offered, found, offered.window(found, 0.1, 0), [0])


def with_times(trial: RateTrial, first: float, each: float) -> RateTrial:
    """Return the trial with other times to the first token and from one to the next."""
    return replace(trial, outcomes=tuple(changed(one, first, each) for one in trial.outcomes))


def changed(outcome: Outcome, first: float, each: float) -> Outcome:
    assert outcome.ttft is not None
    assert outcome.tpot is not None
    times = {"ttft": scaled(outcome.ttft, first), "tpot": scaled(outcome.tpot, each)}
    return outcome.model_copy(update=times)


def scaled(spread: Spread, factor: float) -> Spread:
    return spread.model_copy(update={"mean_s": spread.mean_s * factor})


def test_a_tie_goes_to_an_early_first_token_unless_a_uniform_placement_is_faster() -> None:
    whole = measured()
    early = with_times(whole, 0.5, 1.0)
    gained_s = whole.ttft_s - early.ttft_s
    # A hundredth slower as a whole, with half the time to the first token.
    tpot_s = (whole.total_s * 1.01 - early.ttft_s) / (whole.total_s - whole.ttft_s)
    early = with_times(whole, 0.5, tpot_s)
    assert gained_s > 0
    assert whole.total_s < early.total_s <= whole.total_s * 1.02
    leading = [whole, early]
    assert best_of(leading, lambda _: False) is early
    assert best_of(leading, lambda one: one is whole) is whole
    assert best_of(leading, lambda one: one is early) is early
