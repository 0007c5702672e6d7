"""The choice among candidates, wherever its time ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.field_types import Range
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of, with_policy
from hexplan_solver.objectives.sustained.choice import Contest, choose
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.trial import (
    Estimate,
    in_whole_stays,
    is_hopeless,
    run_once,
)
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED, Window

WINDOW = Window(duration_s=220.0, warmup_s=16.0, seed=0)
"""A tenth of what the search would simulate of these, so that many runs take seconds."""


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Six like hosts, 20 ms from each other; with few layers each passes most tokens."""
    far = link("here", "here", 10**7).model_copy(update={"latency_s": Decimal("0.02")})
    spec = spec_of(
        tiny_model(12),
        [host(f"h{i}", ["d"]) for i in range(6)],
        types=[device_type("d", memory_bytes=10**6, speed=10**8)],
        profiles=[profile("d", [1000, 400, 250, 190])],
        links=[far],
    )
    return build_problem(spec)


def placement(problem: Problem, chains: Sequence[Sequence[Range]]) -> Candidate:
    """Give each range of each chain a host."""
    ranges = [layers for chain in chains for layers in chain]
    stages = [
        PlacedStage(layers, f"h{i}", (0,), 0, problem.kinds[0].rates.of(*layers))
        for i, layers in enumerate(ranges)
    ]
    found = candidate_of(problem, sorted(stages), widest(problem.spec, CHUNKED))
    assert found is not None
    return found


@dataclass(slots=True)
class Runs:
    """A budget of some runs, none of which go to other step limits."""

    left: int
    is_short: bool = False
    scale: float = 1.0

    def affords(self, candidates: Sequence[Candidate]) -> bool:
        return self.left >= len(candidates)

    def window(self, found: Candidate) -> Window:
        return WINDOW

    def may_run(
        self,
        found: Candidate,
        num_seeds: int = 1,
        *,
        scale: float | None = None,
        is_needed: bool = False,
    ) -> bool:
        self.left -= 1
        return self.left >= 0

    def may_tune(self) -> bool:
        return False

    def is_minor(self, found: Candidate, num_seeds: int) -> bool:
        return False

    def scale_left(self, candidates: Sequence[Candidate]) -> float:
        return self.scale


def test_a_better_candidate_that_was_tried_is_never_given_up_for_want_of_time(
    problem: Problem,
) -> None:
    deep = placement(problem, [[(i, i + 3) for i in range(0, 12, 3)]])
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]] * 2)
    contest = Contest(1)
    found = [choose(contest, [deep, shallow], Runs(checks)) for checks in range(8)]
    # With less than a run of each there is nothing to compare.
    assert found[:2] == [None, None]
    chosen = [contest.best_of(trials).found for trials in found if trials is not None]
    assert len(chosen) == 6
    assert all(one.evaluated is shallow.evaluated for one in chosen)


def judged_alike(*rated: tuple[Candidate, float]) -> list[Estimate]:
    """Judge candidates by a formula whose rates are as told, and whose latencies are equal."""
    first = rated[0][0].served
    return [
        Estimate(replace(one, served=replace(first, decode_tokens_per_s=rate)), 1.0, 1.0)
        for one, rate in rated
    ]


def test_of_two_that_serve_as_much_the_shallower_one_is_chosen(problem: Problem) -> None:
    deep = placement(problem, [[(0, 2), (2, 6), (6, 9), (9, 12)]])
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]])
    # Rates that are equal but for less than the noise of a trial.
    judged = judged_alike((deep, 100.5), (shallow, 100.0))
    # The first is the reference, and the choice serves no less than that.
    assert Contest(1).best_of(judged).found.evaluated is deep.evaluated
    assert Contest(1).best_of(judged[::-1]).found.evaluated is shallow.evaluated


def test_no_shallower_one_is_chosen_below_what_a_uniform_placement_serves(
    problem: Problem,
) -> None:
    uniform = placement(problem, [[(i, i + 2) for i in range(0, 12, 2)]])
    shallow = placement(problem, [[(0, 2), (2, 6), (6, 9), (9, 12)]])
    judged = judged_alike((shallow, 100.0), (uniform, 100.5))
    assert Contest(1).best_of(judged).found.evaluated is uniform.evaluated


def test_requests_that_stay_beyond_the_factor_are_not_allowed(problem: Problem) -> None:
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]])
    better = replace(shallow, served=replace(shallow.served, decode_tokens_per_s=10**6))
    reference = Estimate(shallow, ttft_s=1.0, tpot_s=0.1)
    late = Estimate(better, ttft_s=1.0, tpot_s=0.25)
    # Its first tokens queue for longer, but a whole request does not.
    fine = Estimate(better, ttft_s=3.0, tpot_s=0.15)
    assert Contest(1, factor=2.0).best_of([reference, late]) is reference
    assert Contest(1, factor=2.0).best_of([reference, late, fine]) is fine


def test_where_a_trial_served_more_than_the_formula_says_others_may_too(problem: Problem) -> None:
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]] * 2)
    trial = run_once(shallow, WINDOW)
    rate = trial.decode_tokens_per_s
    # The same placement, of which a formula knows that it serves two thirds of that.
    doubted = replace(shallow, served=replace(shallow.served, decode_tokens_per_s=rate / 1.5))
    underrated = replace(trial, found=doubted)
    assert is_hopeless(doubted, rate, [])
    assert not is_hopeless(doubted, rate, [underrated])
    worse = replace(shallow, served=replace(shallow.served, decode_tokens_per_s=rate / 3))
    assert is_hopeless(worse, rate, [underrated])


def test_references_that_nothing_can_beat_are_chosen_by_their_trials(problem: Problem) -> None:
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]] * 2)
    rate = run_once(shallow, WINDOW).decode_tokens_per_s
    worse = replace(shallow, served=replace(shallow.served, decode_tokens_per_s=rate / 9))
    trials = choose(Contest(1), [shallow, worse], Runs(8))
    assert trials is not None
    assert {trial.found.served for trial in trials} == {shallow.served}


def test_steps_whose_limits_were_not_met_are_judged_once(problem: Problem) -> None:
    deep = placement(problem, [[(i, i + 3) for i in range(0, 12, 3)]])
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]] * 2)
    limit = shallow.policy.max_decode_tokens
    same = with_policy(shallow, replace(shallow.policy, max_decode_tokens=limit - 1))
    trials = choose(Contest(1), [deep, shallow, same], Runs(9))
    assert trials is not None
    assert [trial.found for trial in trials] == [deep, shallow]


@pytest.mark.parametrize("longest_s", [0.0, 60.0, 1e9])
def test_requests_that_are_all_alike_are_measured_in_whole_stays(
    problem: Problem, longest_s: float
) -> None:
    shallow = placement(problem, [[(0, 4), (4, 8), (8, 12)]] * 2)
    trial = run_once(shallow, WINDOW)
    workload = problem.spec.workload
    assert workload.output_tokens.mean == workload.output_tokens.max
    stay_s = trial.ttft_s + (workload.output_tokens.mean - 1) * trial.tpot_s
    window = in_whole_stays(trial, longest_s, is_short=False)
    assert window.duration_s is not None and window.warmup_s is not None
    stays = (window.duration_s - window.warmup_s) / stay_s
    assert stays == pytest.approx(round(stays), rel=0.01)
    few, many = SUSTAINED_PARAMS.measured_stays, SUSTAINED_PARAMS.most_stays
    assert few <= round(stays) <= many
    assert window.duration_s <= longest_s or round(stays) == few
