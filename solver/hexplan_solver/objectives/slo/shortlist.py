"""The candidates that are worth a simulation, by the model of steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, product, zip_longest

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan.workload import Slo
from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.slo.candidate import (
    SloCandidate,
    candidates_of,
    split_candidate,
)
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.objectives.slo.phase_rates import PhaseClock
from hexplan_solver.objectives.slo.splits import Divider, Split
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.plans.draft import Draft
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.free import whole_replicas
from hexplan_solver.replicas.grids import is_grid
from hexplan_solver.replicas.pool import is_of_replicas
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import widest
from hexplan_solver.simulate import CHUNKED
from hexplan_solver.start.uniform import Uniform, side_by_side, uniform_placements


def shortlist(run: Run, spec: Spec, first: Draft, slo: Slo) -> list[SloCandidate]:
    """Return the candidates to simulate: those of the largest rates by the model of steps.

    Uniform placements and others take turns: the model may flatter a mix of stages, and no plan may
    be behind what runs without a planner. The others are the placement of largest flow, the best
    uniform ones of each type of device side by side, those of the quick methods, and plans on fewer
    hosts or with wider stages. Beside them stand splits, whose stages serve one phase each.
    """
    until_s = run.elapsed_s + run.left_s * SLO_PARAMS.list_share
    listing = _Listing(run, first, slo)
    listing.add(first.evaluated)
    problem, grids = first.evaluated.problem, list[Uniform]()
    for found in whole_replicas(run, problem):
        listing.add(found, is_uniform=is_grid(found))
    if not is_of_replicas(problem) and not problem.is_pinned:
        grids = _add_simple(run, listing, problem, until_s)
    for evaluated in _on_fewer_hosts(run, spec):
        listing.add(evaluated)
    if grids and spec.cluster.limits.phases == "any" and not spec.counts_host_memory:
        divider = Divider(problem, PhaseClock(spec.workload, widest(spec, CHUNKED), slo))
        divider.add_grids(grids)
        divider.add_placement(first.evaluated)
        for split in islice(divider.splits(), SLO_PARAMS.most_splits):
            listing.add_split(split)
    return listing.best()


def _add_simple(run: Run, listing: _Listing, problem: Problem, until_s: float) -> list[Uniform]:
    """Add uniform placements, mixes of them and those of quick methods; return the uniform ones."""
    grids = []
    by_type: dict[tuple[str, ...], list[tuple[float, Uniform]]] = defaultdict(list)
    for grid in uniform_placements(problem):
        grids.append(grid)
        guess = listing.add(grid.evaluated, is_uniform=True)
        if len(grid.device_types) == 1:
            by_type[grid.device_types].append((guess, grid))
        if run.elapsed_s > until_s:
            break
    for choice in _best_of_each(by_type) if len(by_type) > 1 else ():
        listing.add(side_by_side(problem, choice))
    for found in quick_placements(run, problem, until_s - run.elapsed_s):
        listing.add(found)
    return grids


def _best_of_each(
    by_type: dict[tuple[str, ...], list[tuple[float, Uniform]]],
) -> Iterator[tuple[Uniform, ...]]:
    """Yield a grid of each type, the best by the model of steps and the next."""
    each = [
        [grid for _, grid in sorted(grids, key=lambda pair: -pair[0])[: SLO_PARAMS.of_each_type]]
        for grids in by_type.values()
    ]
    yield from islice(product(*each), SLO_PARAMS.most_mixes)


def _on_fewer_hosts(run: Run, spec: Spec) -> Iterator[Evaluated]:
    """Yield placements of the largest flow of some hosts, or with wider stages."""
    share = SLO_PARAMS.variant_share
    for variant in islice(variants_of(spec), SLO_PARAMS.most_variants):
        if run.left_s == 0:
            return
        try:
            yield draft_throughput(variant, run.nested(run.left_s * share, share)).evaluated
        except (InfeasibleError, LimitReached):
            continue


class _Listing:
    """Collects candidates, one of each placement."""

    def __init__(self, run: Run, first: Draft, slo: Slo) -> None:
        self._run, self._first, self._slo = run, first, slo
        self._found: dict[object, SloCandidate] = {}
        self._uniform: set[object] = set()
        self._splits: list[SloCandidate] = []
        self._best = 0.0

    def add(self, evaluated: Evaluated, is_uniform: bool = False) -> float:
        """Add a placement with its best step limits; return its rate by the model of steps."""
        spec = evaluated.problem.spec
        most = evaluated.value / MICRO / spec.workload.mean_tokens
        key = tuple((s.layers, s.host, s.devices) for s in evaluated.network.stages)
        if is_uniform:
            self._uniform.add(key)
        if key in self._found:
            return self._found[key].guess
        is_slow = most < self._best * SLO_PARAMS.hopeless and not is_uniform
        if not evaluated.value or is_slow:
            return 0.0
        self._run.tell("slo", None)
        found = candidates_of(replace(self._first, evaluated=evaluated), self._slo)[0]
        self._found[key] = found
        self._best = max(self._best, found.guess)
        return found.guess

    def add_split(self, split: Split) -> None:
        """Add a placement whose stages serve one phase each."""
        found = split_candidate(self._first, split, self._slo)
        if found.guess >= self._best * SLO_PARAMS.split_hopeless:
            self._splits.append(found)

    def best(self) -> list[SloCandidate]:
        """Return what may be the best: uniform placements and others in turns, and then splits."""
        keys = sorted(self._found, key=lambda key: (-self._found[key].guess, self._found[key].hops))
        uniform = self._promising([key for key in keys if key in self._uniform])
        others = self._promising([key for key in keys if key not in self._uniform])
        if uniform and others and uniform[0].guess >= others[0].guess:
            uniform, others = others, uniform
        splits = sorted(self._splits, key=lambda found: -found.guess)
        turns = zip_longest(others, uniform)
        return [one for turn in turns for one in turn if one is not None] + splits

    def _promising(self, keys: Sequence[object]) -> list[SloCandidate]:
        """Return candidates that are not far behind the first of them."""
        found = [self._found[key] for key in keys]
        return [c for c in found if c.guess >= found[0].guess * SLO_PARAMS.hopeless]
