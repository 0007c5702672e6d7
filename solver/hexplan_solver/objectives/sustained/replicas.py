"""Candidates of whole replicas: all that some engines run, and starts for those that run more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hexplan_solver.budget import GoesOn
from hexplan_solver.flow.evaluate import evaluate
from hexplan_solver.objectives.sustained.candidate import (
    Candidate,
    Floor,
    candidate_of,
    with_flow,
)
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.design import Design
from hexplan_solver.replicas.free import apart_replicas, as_limited, freed
from hexplan_solver.replicas.naming import named
from hexplan_solver.replicas.pool import Value, replica_pool
from hexplan_solver.run import Run
from hexplan_solver.simulate import Policy


def replica_candidates(run: Run, problem: Problem, policy: Policy) -> list[Candidate]:
    """Return packings of replicas by their flow and by what each serves alone, by the formula.

    Replicas share no stage, so what they serve adds up, links aside. The best come once more with
    layers moved to where they serve most.
    """
    pool = replica_pool(run, problem, _served_alone(problem, policy))
    found = [with_flow(one, policy) for one in pool]
    return [*found, *_shifted(run, found, run.left_s * SUSTAINED_PARAMS.shift_share)]


def free_candidates(run: Run, problem: Problem, policy: Policy) -> list[Candidate]:
    """Return the best of the same for an engine that runs every plan, with its freer routes."""
    limited, params = as_limited(problem), SUSTAINED_PARAMS
    pool = apart_replicas(run, problem, _served_alone(limited, policy))
    found = [with_flow(one, policy) for one in pool]
    found += _shifted(run, found, run.left_s * params.free_shift_share)
    best = sorted(found, key=_rate, reverse=True)[: params.most_replicas]
    free = [freed(problem, one.evaluated) for one in best]
    return [with_flow(one, policy) for one in free if one.value]


def _served_alone(problem: Problem, policy: Policy) -> Value:
    """Return what computes the served rate of a replica of a design by itself."""

    def served(design: Design) -> float:
        replicas = named(problem, [design])
        alone = evaluate(problem, replicas[0]) if replicas else None
        if alone is None or not alone.value:
            return 0.0
        return with_flow(alone, policy).served.decode_tokens_per_s

    return served


def _shifted(run: Run, found: Sequence[Candidate], seconds: float) -> list[Candidate]:
    """Return the best of some candidates with layers moved, as far as that gains anything."""
    until = run.elapsed_s + seconds

    def goes_on() -> bool:
        return run.elapsed_s < until

    best = sorted(found, key=_rate, reverse=True)[: SUSTAINED_PARAMS.shifted]
    shifted = [with_layers_shifted(one, goes_on) for one in best]
    return [one for one in shifted if one not in found]


def _rate(found: Candidate) -> float:
    return found.served.decode_tokens_per_s


def with_layers_shifted(found: Candidate, goes_on: GoesOn) -> Candidate:
    """Move single layers between neighbours of a replica while more is served by the formula.

    The largest flow makes all stages equally fast, and may leave one of them with little room for
    the KV cache.
    """
    problem, is_better = found.evaluated.problem, True
    while is_better:
        is_better = False
        for stages in _shifts(problem, found.placement):
            if not goes_on():
                return found
            floor = Floor(1, found.served.decode_tokens_per_s * (1 + SUSTAINED_PARAMS.shift_gain))
            other = candidate_of(problem, stages, found.policy, floor)
            if other is not None and other.served.decode_tokens_per_s > floor.decode_tokens_per_s:
                found, is_better = other, True
                break
    return found


def _shifts(problem: Problem, stages: Placement) -> Iterator[Sequence[PlacedStage]]:
    """Yield placements with one layer more in a stage, and one less in its neighbour.

    Alike replicas shift alike, so that what one of them gains is not lost to the others' pace.
    """
    chains: dict[int, list[PlacedStage]] = {}
    for stage in stages:
        chains.setdefault(stage.replica, []).append(stage)
    alike: dict[object, list[int]] = {}
    for number, chain in chains.items():
        alike.setdefault(tuple((s.kind, s.layers) for s in chain), []).append(number)
    for numbers in alike.values():
        for left in range(len(chains[numbers[0]]) - 1):
            for step in (1, -1):
                moved = [_moved(problem, chains[number], left, step) for number in numbers]
                if all(moved):
                    others = [s for n, c in chains.items() if n not in numbers for s in c]
                    yield [*others, *(stage for chain in moved for stage in chain)]


def _moved(
    problem: Problem, chain: Sequence[PlacedStage], left: int, step: int
) -> list[PlacedStage]:
    """Move the end of one stage; nothing is returned if that cannot be."""
    one, other = chain[left], chain[left + 1]
    end = one.layers[1] + step
    if not one.layers[0] < end < other.layers[1]:
        return []
    changed = []
    for stage, layers in ((one, (one.layers[0], end)), (other, (end, other.layers[1]))):
        rates = problem.kinds[stage.kind].rates
        rate = rates.of(*layers) if layers[1] - layers[0] <= rates.max_layers else 0
        if not rate:
            return []
        changed.append(replace(stage, layers=layers, rate=rate))
    return [*chain[:left], *changed, *chain[left + 2 :]]
