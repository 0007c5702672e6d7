"""Plans for vLLM serve no less than any uniform TP x PP x DP that vLLM runs.

With random numbers other than those of the search.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from support.engine_specs import for_engine, one_box_of_h100s, two_boxes_of_l4s
from support.uniform_rivals import Rival, Times, uniform_rivals

from hexplan.check import check_plan
from hexplan.constants import MICRO
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.workload import Objective
from hexplan_solver import SolveOptions, solve
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.step_limits import widest
from hexplan_solver.start.uniform import Uniform, uniform_placements

OPTIONS = SolveOptions(time_limit_s=120, effort_s=10)
SEED = 11
MORE = 1.03
"""A rival serves more if it is ahead by this: random numbers make less of a difference."""
CLEARLY = 0.9
"""A rival keeps to latencies if its own are below this share of them."""
KV_HEADS = 8
"""Of Llama-3.1-70B."""
pytestmark = pytest.mark.slow

BOXES = {"8-h100": one_box_of_h100s, "2x4-l4": two_boxes_of_l4s}


def is_run_by_vllm(grid: Uniform) -> bool:
    """Say whether the degree divides the KV heads, and hosts of a pipeline have equal shares."""
    counts = (Counter(s.host for s in pipeline) for pipeline in grid.pipelines)
    return KV_HEADS % grid.degree == 0 and all(len(set(count.values())) == 1 for count in counts)


def planned(spec: Spec, objective: Objective) -> Plan:
    plan = solve(replace(for_engine(spec, "vllm"), objective=objective), OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


@pytest.mark.parametrize("name", BOXES)
def test_no_uniform_replicas_pass_more_than_the_plan_for_vllm(name: str) -> None:
    spec = BOXES[name]()
    flow = planned(spec, "throughput").certificate.flow_tokens_per_s
    grids = uniform_placements(build_problem(replace(spec, objective="throughput")))
    rivals = {grid.name: grid.evaluated.value for grid in grids if is_run_by_vllm(grid)}
    assert len(rivals) > 5
    assert max(rivals.values()) <= int(flow * MICRO)


@pytest.mark.parametrize("name", BOXES)
def test_no_uniform_replicas_serve_more_than_the_plan_for_vllm(name: str) -> None:
    spec = BOXES[name]()
    own = Rival.of_plan(planned(spec, "sustained"), spec).full(SEED)
    flow = Rival.of_plan(planned(spec, "throughput"), spec)
    references = [
        Times.of(replace(flow, policy=policy).full(SEED)).stay_s(spec)
        for policy in (flow.policy, widest(spec, flow.policy))
    ]
    for rival in uniform_rivals(spec, is_run_by_vllm):
        found = rival.full(SEED)
        if found.decode_tokens_per_s > MORE * own.decode_tokens_per_s:
            assert Times.of(found).stay_s(spec) > CLEARLY * max(references), rival.name
