"""Random clusters, extreme in every way: a sound plan for each, or a true refusal.

`make test-random COUNT=10000` tries so many of them.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from support.brute_route import TooMany, has_route
from support.random_clusters import WILD, random_spec, with_prices

from hexplan.check import check_plan
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

COUNT = int(os.environ.get("RANDOM_CLUSTERS", "150"))
QUICK = (0, 1, 14, 57, 124, 728, 2358, 3707)
"""Clusters of the fast test."""
ONCE_BROKEN = (14, 18, 57, 36, 124, 137, 728, 2137, 2358, 3053, 3707)
"""Clusters that once got a broken plan or none: with pins, little flow, speeds beyond 64 bits or
many powers of ten apart, or links that several stages use."""
CHUNK = 25
"""Clusters of one case of the slow test."""
SHORT_S, AGAIN_S, ENOUGH_S = 0.5, 5.0, 30.0
"""The search's limit, that of a second opinion, and that where it found nothing in a short time."""
MAX_STEPS = 100_000
"""Chains of stages tried in search of a route."""


def wild_spec(seed: int) -> Spec:
    spec = random_spec(seed, WILD, SHORT_S)
    return with_prices(spec, seed) if seed % 4 == 0 else spec


def assert_answered(seed: int) -> None:
    spec = wild_spec(seed)
    try:
        plan = solve(spec)
    except InfeasibleError:
        assert not _passes_something(spec, or_else=False) or _is_slow(spec), f"seed {seed}"
    except LimitReached:
        assert _passes_something(spec, or_else=True), f"seed {seed} has no plan"
        if spec.objective == "throughput":
            assert check_plan(solve(spec, SolveOptions(time_limit_s=ENOUGH_S))) == ()
    else:
        assert [str(violation) for violation in check_plan(plan)] == [], f"seed {seed}"
        certificate = plan.certificate
        assert certificate.flow_tokens_per_s <= certificate.bound_tokens_per_s, f"seed {seed}"


def _passes_something(spec: Spec, *, or_else: bool) -> bool:
    """Say whether any route exists; `or_else` where there are too many chains to try."""
    try:
        return has_route(spec, MAX_STEPS)
    except TooMany:
        return or_else


def _is_slow(spec: Spec) -> bool:
    """Say whether the best plan known carries less than the rate that the cost is asked for."""
    if spec.objective != "cost":
        return False
    plan = solve(replace(spec, objective="throughput"), SolveOptions(time_limit_s=AGAIN_S))
    asked = (spec.workload.request_rate_per_s or 0.0) * spec.workload.mean_tokens
    return float(plan.certificate.flow_tokens_per_s) < asked


def test_wild_clusters_get_a_sound_plan_or_a_true_refusal() -> None:
    for seed in QUICK:
        assert_answered(seed)


@pytest.mark.slow
def test_clusters_that_once_got_a_broken_plan_or_none_get_a_sound_one_or_a_true_refusal() -> None:
    for seed in ONCE_BROKEN:
        assert_answered(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_many_wild_clusters_get_a_sound_plan_or_a_true_refusal(first: int) -> None:
    for seed in range(first, min(COUNT, first + CHUNK)):
        assert_answered(seed)
