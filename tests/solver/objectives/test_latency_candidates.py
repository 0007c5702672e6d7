"""Candidates for latency: the fastest chain of all, and never a slower plan for more devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
from support.growing import growing
from support.slow import few_are_fast

from hexplan.check import check_plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.objectives.demand import needed_flow
from hexplan_solver.objectives.latency.candidates import chains, grids
from hexplan_solver.objectives.latency.routed import Routed, faster_of, routed
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem

SLOWER = 1.001
TINY = 4
"""Devices of a cluster whose chains are all tried."""


def best_candidate(spec: Spec) -> Routed | None:
    problem, needed = build_problem(spec), needed_flow(spec)
    best: Routed | None = None
    for grid in grids(problem, needed, lambda: True):
        best = faster_of(best, routed(grid, needed))
    for found in chains(problem, needed, lambda: True):
        best = faster_of(best, found)
    return best


def every_chain(
    problem: Problem, first: int = 0, taken: frozenset[tuple[str, int]] = frozenset()
) -> Iterator[tuple[PlacedStage, ...]]:
    """Yield every pipeline of the problem from a layer on, over devices that are not taken."""
    if first == problem.num_layers:
        yield ()
        return
    for host in problem.spec.cluster.hosts:
        free = [d for d in range(len(host.devices)) if (host.name, d) not in taken]
        for size in range(1, len(free) + 1):
            for devices in combinations(free, size):
                group = tuple(sorted(host.devices[d] for d in devices))
                kinds = [
                    k
                    for k in problem.kinds
                    if k.group == group and host.name in problem.classes[k.host_class].hosts
                ]
                ordered = tuple(sorted(devices, key=lambda d: (host.devices[d], d)))
                gone = taken | {(host.name, d) for d in devices}
                for kind in kinds:
                    for end in range(first + 1, problem.num_layers + 1):
                        rate = kind.rates.of(first, end)
                        stage = PlacedStage((first, end), host.name, ordered, kind.index, rate)
                        if rate:
                            for rest in every_chain(problem, end, gone):
                                yield (stage, *rest)


def of_tiny(seeds: range) -> list[int]:
    """Return the seeds whose smaller cluster has few devices."""
    return [
        seed
        for seed in seeds
        if sum(len(h.devices) for h in growing(seed)[0].cluster.hosts) <= TINY
    ]


@pytest.mark.parametrize("seed", few_are_fast(of_tiny(range(60))[:8], 3))
def test_a_rare_request_is_as_fast_as_on_the_best_chain_of_all(seed: int) -> None:
    spec = growing(seed)[0]
    rare = spec.workload.model_copy(update={"request_rate_per_s": 1e-4})
    spec = replace(spec, workload=rare)
    problem, needed = build_problem(spec), needed_flow(spec)
    best: Routed | None = None
    for chain in every_chain(problem):
        best = faster_of(best, routed(evaluate(problem, chain), needed))
    found = best_candidate(spec)
    assert (found is None) == (best is None)
    if found is not None and best is not None:
        assert found.times.total_s <= best.times.total_s * SLOWER


@pytest.mark.parametrize("seed", range(200, 208))
def test_one_more_device_or_host_never_slows_down_the_best_candidate(seed: int) -> None:
    small, large = growing(seed)
    before, after = best_candidate(small), best_candidate(large)
    if before is not None:
        assert after is not None
        assert after.times.total_s <= before.times.total_s * SLOWER


@pytest.mark.parametrize("seed", (300, 302))
def test_one_more_device_or_host_never_slows_down_the_plan(seed: int) -> None:
    options = SolveOptions(time_limit_s=10, effort_s=0.5)
    small, large = (solve(spec, options) for spec in growing(seed))
    assert check_plan(large) == ()
    times = []
    for plan in (small, large):
        ttft_s, tpot_s = plan.predicted.ttft_s, plan.predicted.tpot_s
        assert ttft_s is not None
        assert tpot_s is not None
        times.append(float(ttft_s + 31 * tpot_s))
    assert times[1] <= times[0] * SLOWER
