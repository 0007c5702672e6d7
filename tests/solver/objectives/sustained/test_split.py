"""The split of a flow: still a largest flow, and as even as it can be."""

from __future__ import annotations

import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.plan import SolveInfo
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.objectives.sustained.candidate import Candidate, candidate_of
from hexplan_solver.objectives.sustained.split import spread
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.write import write_plan
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.simulate import CHUNKED, Offline, Window, simulate

SMALL = 6 * 10**6


def fed(bandwidth: int, rate: float = 150.0) -> tuple[Problem, Candidate]:
    """Place one stage that passes 100 tokens/s before two that pass `rate` each."""
    spec = spec_of(
        tiny_model(8),
        [host("a", ["x"]), host("b", ["y"]), host("c", ["y"])],
        types=[device_type(name, memory_bytes=SMALL, speed=10**8) for name in "xy"],
        profiles=[profile("x", [400, 300, 200, 100]), profile("y", [400, 300, 200, rate])],
        links=[link("here", "here", bandwidth)],
    )
    problem = build_problem(spec)
    stages = []
    for name, layers in (("a", (0, 4)), ("b", (4, 8)), ("c", (4, 8))):
        kind = next(k for k in problem.kinds if name in problem.classes[k.host_class].hosts)
        stages.append(PlacedStage(layers, name, (0,), kind.index, kind.rates.of(*layers)))
    found = candidate_of(problem, stages, CHUNKED)
    assert found is not None
    return problem, found


def loads(found: Candidate) -> list[int]:
    return [
        sum(path.amount for path in found.evaluated.flow.paths if stage in path.stages)
        for stage in range(len(found.placement))
    ]


def served(candidate: Candidate) -> float:
    """Return the decoded tokens/s in the simulator."""
    stay_s = candidate.served.residence_s
    traffic = Offline(spread_lengths(candidate.evaluated.problem.spec.workload))
    window = Window(12 * stay_s, 4 * stay_s, 1)
    outcome = simulate(candidate.pipeline, traffic, candidate.policy, window)
    return outcome.decode_tokens_per_s


def test_a_flow_is_spread_evenly_over_like_stages_and_stays_a_largest_one() -> None:
    _, found = fed(10**7)
    even = spread(found)
    assert even.evaluated.value == pytest.approx(100_000_000, rel=1e-6)
    assert loads(even)[1:] == pytest.approx([50_000_000, 50_000_000], rel=1e-3)
    assert served(even) >= served(found)


def test_a_split_flow_makes_a_plan_that_the_check_passes() -> None:
    _, found = fed(10**7)
    even = spread(found)
    proof = Proof(quick_bound(even.evaluated.problem), None, "feasible")
    info = SolveInfo(wall_s=0.0, seed=0, versions={})
    plan = write_plan(Draft(even.evaluated, proof), info)
    assert [str(violation) for violation in check_plan(plan)] == []


def test_no_stage_and_no_link_is_filled_beyond_what_it_passes() -> None:
    # 128 bytes a token: each link passes 60 tokens/s, so neither branch takes all.
    _, found = fed(60 * 128, rate=70.0)
    even = spread(found)
    assert even.evaluated.value == pytest.approx(100_000_000, rel=1e-6)
    assert max(loads(even)[1:]) <= 60_000_000


def test_a_single_chain_is_left_as_it_is() -> None:
    problem, found = fed(10**7)
    chain = candidate_of(problem, found.placement[:2], CHUNKED)
    assert chain is not None
    assert spread(chain) is chain
