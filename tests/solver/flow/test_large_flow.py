"""The LP over a part of the arcs: its flow is that of all arcs, with prices that prove it."""

from __future__ import annotations

import random
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.random_clusters import WILD, Dials, random_spec
from test_flow import assert_flow_is_sound

from hexplan.check import check_plan
from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO, TOKEN_ID_BYTES
from hexplan.cost import link_rate
from hexplan.plan import SolveInfo
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.flow.evaluate import evaluate_used
from hexplan_solver.flow.large_flow import large_flow
from hexplan_solver.flow.link_arrays import LinkArrays
from hexplan_solver.flow.network import SharedCapacities, build_network
from hexplan_solver.flow.params import FlowParams
from hexplan_solver.flow.priced_flow import shared_flow_value
from hexplan_solver.links.moves import Moves
from hexplan_solver.placement.chain import fill_chain
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.placement import Placement
from hexplan_solver.plans.draft import Draft
from hexplan_solver.plans.write import write_plan
from hexplan_solver.problem.problem import Problem, build_problem

FEW = FlowParams(dense_arcs=-1, first_arcs=1, added_arcs=1)
"""Begins with so few arcs that nearly every flow needs more."""
MODEST = Dials((2, 8), (2, 6), 4, 14, (10.0, 1000.0), (1e9, 1e9), is_wild=False)


def wandered(problem: Problem, seed: int, steps: int) -> Placement:
    """Return a placement some random moves away from one chain."""
    counts = fill_chain(problem)
    assume(counts is not None and not problem.is_pinned)
    assert counts is not None
    moves, placement = Moves(problem, random.Random(seed)), place(problem, counts)
    for _ in range(steps):
        placement = moves.neighbour(placement) or placement
    return placement


@settings(deadline=None, max_examples=80)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 30))
def test_a_flow_by_a_part_of_the_arcs_is_as_large_as_by_all(seed: int, steps: int) -> None:
    problem = build_problem(random_spec(seed, MODEST, 1.0))
    placement = wandered(problem, seed, steps)
    network = build_network(problem.spec, placement)
    expected = shared_flow_value(network) if network.arcs else 0.0
    flow = large_flow(network, FEW)
    if flow is None:
        # Each arc's amount is rounded up by 1e-6 tokens/s. On a link that many arcs share, what an
        # activation takes too much is as long as many ids. A small flow may lose too much by this.
        ids_per_activation = network.spec.model.hidden * 2 / TOKEN_ID_BYTES
        may_miss = 2 * len(network.stages) * ids_per_activation / MICRO
        assert expected < may_miss / FEW.may_lose
        return
    assert flow.value / MICRO == pytest.approx(expected, rel=1e-6)
    assert_flow_is_sound(network, flow)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 30))
def test_a_flow_stays_proved_when_idle_stages_are_dropped(seed: int, steps: int) -> None:
    problem = build_problem(random_spec(seed, MODEST, 1.0))
    placement = wandered(problem, seed, steps)
    found = evaluate_used(problem, placement, FlowParams(large_stages=0))
    assume(found.value)
    assert len(found.needed) == len(found.placement)
    bound = quick_bound(problem)
    status = "optimal" if found.value >= bound.micro_tokens_per_s else "feasible"
    proof = Proof(bound, None, status)
    info = SolveInfo(wall_s=0.0, seed=0, versions={}, method="test")
    plan = write_plan(Draft(found, proof), info)
    assert check_plan(plan) == ()


@pytest.mark.parametrize("seed", range(40))
def test_rules_say_the_same_of_all_pairs_at_once_as_of_one(seed: int) -> None:
    spec = random_spec(seed, WILD, 1.0)
    links, shared = LinkArrays(spec), SharedCapacities(spec)
    ends = [*(host.name for host in spec.cluster.hosts), COORDINATOR]
    for source, target in permutations(ends, 2):
        i, j = (np.array([links.position[end]]) for end in (source, target))
        found = links.between(i, j)
        rate = link_rate(spec.cluster, spec.model, source, target) or 0
        assert found.capacity[0] * MICRO == pytest.approx(rate, rel=1e-12, abs=1)
        if rate:
            named = {shared.found[index] for index in shared.of(source, target)}
            assert {links.capacity_of(k) for k in found.shared[0].tolist() if k >= 0} == named
