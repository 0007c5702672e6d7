"""Pipelines first, then layers in proportion to compute: how Parallax places a model.

From the documentation and the behaviour of Parallax's scheduler (GradientHQ/parallax). It builds
the number k of pipelines that maximises k^2 / s(k), where s(k) is the fewest machines that k
pipelines take. Machines join in the order of their room, largest first. In each pipeline the layers
are shared by water-filling: in proportion to peak FLOP/s, up to each machine's room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from hexplan_solver.baselines.machines import BaselineMachine, chain, machines_of
from hexplan_solver.baselines.params import PARALLAX_PARAMS
from hexplan_solver.baselines.result import MethodResult, give_up, result_of, time_for
from hexplan_solver.baselines.waterfill import water_fill
from hexplan_solver.budget import GoesOn
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run

Pipelines = tuple[tuple[BaselineMachine, ...], ...]


@dataclass(frozen=True, slots=True)
class _State:
    """Pipelines that are being filled: the layers that each still lacks, and its machines."""

    lacking: tuple[int, ...]
    used: int
    pipelines: Pipelines


def place_tflops(run: Run, problem: Problem) -> MethodResult:
    """Choose the pipelines by count and length, and share the layers in each by compute."""
    machines = sorted(machines_of(problem), key=lambda m: (-m.max_layers, m.position))
    total = problem.num_layers
    bounds = {count: _score_bound(machines, count, total) for count in range(1, len(machines) + 1)}
    best: Pipelines = ()
    for count, bound in sorted(bounds.items(), key=lambda item: (-item[1], item[0])):
        if bound < _score(best) or bound == 0 or (best and run.left_s == 0):
            break
        found = _fewest_machines(machines, count, total, time_for(run, len(machines)))
        better = (_score(found), -len(found)) > (_score(best), -len(best))
        best = found if better else best
        if not found and not time_for(run, len(machines))():
            break
    if not best:
        raise give_up("all machines together hold less than the model, or its time was up")
    return result_of(stage for pipeline in best for stage in _filled(pipeline, total))


def _score(pipelines: Pipelines) -> Fraction:
    """Return k^2 / s of k pipelines of s machines."""
    return Fraction(len(pipelines) ** 2, max(1, sum(map(len, pipelines))))


def _score_bound(machines: Sequence[BaselineMachine], count: int, total: int) -> Fraction:
    """Return a bound on the score of `count` pipelines; 0 if there is too little room for them."""
    held = accumulate(machine.max_layers for machine in machines)
    fewest = next((n for n, room in enumerate(held, 1) if room >= count * total), None)
    return Fraction(count**2, max(fewest, count)) if fewest else Fraction(0)


def _filled(pipeline: Sequence[BaselineMachine], total: int) -> Iterator[PlacedStage]:
    powers = [Fraction(machine.flops_per_s) for machine in pipeline]
    counts = water_fill(total, powers, [machine.max_layers for machine in pipeline])
    assert counts is not None  # the pipeline was closed when its room was enough
    return chain(pipeline, counts)


def _fewest_machines(
    machines: Sequence[BaselineMachine], count: int, total: int, goes_on: GoesOn
) -> Pipelines:
    """Fill `count` pipelines with the fewest machines; return none if the time is up before.

    A dynamic program over the machines: each joins a pipeline or is left out. States beyond a limit
    are dropped, so with many machines the result may not be the fewest.
    """
    states = [_State((total,) * count, 0, ((),) * count)]
    for machine in machines:
        if not goes_on():
            return ()
        after: dict[tuple[int, ...], _State] = {}
        for state in states:
            for successor in (state, *_joined(state, machine)):
                known = after.get(successor.lacking)
                if known is None or successor.used < known.used:
                    after[successor.lacking] = successor
        ranked = sorted(after.values(), key=lambda s: (sum(s.lacking), s.used, s.lacking))
        states = ranked[: PARALLAX_PARAMS.max_states]
    done = [state for state in states if not any(state.lacking)]
    return min(done, key=lambda s: s.used).pipelines if done else ()


def _joined(state: _State, machine: BaselineMachine) -> list[_State]:
    """Return the states in which the machine joins a pipeline; of equal pipelines, the first."""
    found = []
    for lack in sorted(set(state.lacking) - {0}):
        at = state.lacking.index(lack)
        rows = list(zip(state.lacking, state.pipelines, strict=True))
        rows[at] = (max(0, lack - machine.max_layers), (*rows[at][1], machine))
        rows.sort(key=lambda row: row[0])
        lacking, pipelines = zip(*rows, strict=True)
        found.append(_State(lacking, state.used + 1, pipelines))
    return found
