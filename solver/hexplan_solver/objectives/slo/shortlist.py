"""The candidates that are worth a simulation, by the model of steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan.workload import Slo
from hexplan_solver.baselines.methods import quick_placements
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.slo.candidate import SloCandidate, candidates_of
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.objectives.variants import variants_of
from hexplan_solver.plans.draft import Draft
from hexplan_solver.replicas.pool import is_of_replicas, replica_pool
from hexplan_solver.run import Run
from hexplan_solver.start.uniform import Uniform, side_by_side, uniform_placements


def shortlist(run: Run, spec: Spec, first: Draft, slo: Slo) -> list[SloCandidate]:
    """Return the candidates to simulate, those of the largest rates by the model of steps first.

    They come from the placement of largest flow, every uniform placement, the best uniform ones of
    each type of device side by side, the quick methods, and plans on fewer hosts or with wider
    stages.
    """
    until_s = run.elapsed_s + run.left_s * SLO_PARAMS.list_share
    listing = _Listing(run, first, slo)
    listing.add(first.evaluated)
    problem = first.evaluated.problem
    if is_of_replicas(problem):
        for found in replica_pool(run, problem):
            listing.add(found)
    elif not problem.is_pinned:
        by_type: dict[tuple[str, ...], list[tuple[float, Uniform]]] = defaultdict(list)
        for grid in uniform_placements(problem):
            guess = listing.add(grid.evaluated)
            if len(grid.device_types) == 1:
                by_type[grid.device_types].append((guess, grid))
            if run.elapsed_s > until_s:
                break
        for choice in _best_of_each(by_type) if len(by_type) > 1 else ():
            listing.add(side_by_side(problem, choice))
        for found in quick_placements(run, problem, until_s - run.elapsed_s):
            listing.add(found)
    for evaluated in _on_fewer_hosts(run, spec):
        listing.add(evaluated)
    return listing.best()


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
        self._found: dict[object, list[SloCandidate]] = {}
        self._best = 0.0

    def add(self, evaluated: Evaluated) -> float:
        """Add a placement with each step limit; return its largest rate by the model of steps."""
        spec = evaluated.problem.spec
        most = evaluated.value / MICRO / spec.workload.mean_tokens
        key = tuple((s.layers, s.host, s.devices) for s in evaluated.network.stages)
        if not evaluated.value or key in self._found or most < self._best * SLO_PARAMS.hopeless:
            return 0.0
        self._run.tell("slo", None)
        found = candidates_of(replace(self._first, evaluated=evaluated), self._slo)
        self._found[key] = found
        self._best = max(self._best, found[0].guess)
        return found[0].guess

    def best(self) -> list[SloCandidate]:
        """Return the candidates that may be the best, the best step limits of each first."""
        every = sorted(
            (candidate for found in self._found.values() for candidate in found[:1]),
            key=lambda candidate: (-candidate.guess, candidate.hops),
        )
        return [c for c in every if c.guess >= self._best * SLO_PARAMS.hopeless]
