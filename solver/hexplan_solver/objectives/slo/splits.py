"""Splits: placements some of whose pipelines prefill what the others decode.

What a pipeline serves of each phase alone comes from the times of its steps. Of each type of
device, some pipelines of one grid prefill and those of a grid on the other devices decode, and of
any placement, those of its chains prefill that are best at it. Only the splits of the largest
rates are put together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from hexplan.errors import InputError
from hexplan.plan import Phase
from hexplan_solver.flow.apart import Pipeline, evaluated_apart
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.objectives.slo.phase_rates import PhaseClock, PhaseRates
from hexplan_solver.problem.problem import Problem
from hexplan_solver.simulate import PipelineModel, pipeline_of_split_placement
from hexplan_solver.simulate.assembly import stages_of_placement
from hexplan_solver.start.uniform import Uniform

NOTHING = PhaseRates(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Split:
    """A placement with the routes of each phase."""

    evaluated: Evaluated
    pipeline: PipelineModel


@dataclass(frozen=True, slots=True)
class Division:
    """Pipelines that prefill, and others that decode, with what they serve."""

    prefill: tuple[Pipeline, ...]
    decode: tuple[Pipeline, ...]
    rates: PhaseRates

    @property
    def rate(self) -> float:
        """What both serve."""
        return min(self.rates.prefill, self.rates.decode)

    @property
    def key(self) -> object:
        """The same for divisions with the same stages in each phase."""
        phases = self.prefill, self.decode
        return tuple(frozenset(stage for chain in chains for stage in chain) for chains in phases)

    @property
    def kinds(self) -> object:
        """The kinds of stages that prefill, with their layers."""
        return frozenset((stage.kind, stage.layers) for chain in self.prefill for stage in chain)

    def beside(self, other: Division) -> Division:
        """Return both together."""
        rates = _sum([self.rates, other.rates])
        return Division(self.prefill + other.prefill, self.decode + other.decode, rates)


class Divider:
    """Finds the divisions of the largest rates, and puts them together."""

    def __init__(self, problem: Problem, clock: PhaseClock) -> None:
        self._problem, self._clock = problem, clock
        self._found: dict[object, Division] = {}

    def add_grids(self, grids: Sequence[Uniform]) -> None:
        """Divide the devices of each type among a grid that prefills and one that decodes."""
        by_type: dict[tuple[str, ...], list[list[_Rated]]] = defaultdict(list)
        for grid in grids:
            if len(grid.device_types) == 1:
                by_type[grid.device_types].append(self._rated(grid.evaluated, grid.pipelines))
        kept = max(3, int(SLO_PARAMS.most_divisions ** (1 / max(1, len(by_type)))))
        each = [_best_of_type(rated, kept) for rated in by_type.values()]
        for choice in product(*each):
            whole = Division((), (), NOTHING)
            for part in choice:
                whole = whole.beside(part)
            self._take(whole)

    def add_placement(self, evaluated: Evaluated) -> None:
        """Divide the chains of a placement that have no stage in common."""
        stages, used = evaluated.network.stages, set[int]()
        chains: list[Pipeline] = []
        for path in sorted(evaluated.flow.paths, key=lambda path: -path.amount):
            if not used.intersection(path.stages):
                used.update(path.stages)
                chains.append(tuple(stages[position] for position in path.stages))
        rated = self._rated(evaluated, chains)
        rated.sort(key=lambda pair: -pair[1].prefill / max(pair[1].decode, 1e-9))
        for first in range(1, len(rated)):
            self._take(_division(rated[:first], rated[first:]))

    def splits(self) -> Iterator[Split]:
        """Yield the splits of the largest rates, whose routes have links."""
        seen: Counter[object] = Counter()
        for division in sorted(self._found.values(), key=lambda division: -division.rate):
            seen[division.kinds] += 1
            if seen[division.kinds] <= SLO_PARAMS.splits_alike:
                split = self._put_together(division)
                if split is not None:
                    yield split

    def _take(self, division: Division) -> None:
        size = sum(len(chain) for chain in (*division.prefill, *division.decode))
        if division.rate > 0 and size <= SLO_PARAMS.split_stages:
            self._found.setdefault(division.key, division)

    def _rated(self, evaluated: Evaluated, chains: Sequence[Pipeline]) -> list[_Rated]:
        """Return chains of a placement with what they serve; those that are alike as one."""
        models = {
            (placed.kind, placed.layers): model
            for placed, (_, model) in zip(
                evaluated.network.stages,
                stages_of_placement(self._problem, evaluated.network),
                strict=True,
            )
        }
        known: dict[object, PhaseRates] = {}
        rated = []
        for chain in chains:
            alike = tuple((placed.kind, placed.layers) for placed in chain)
            if alike not in known:
                held = [models[key] for key in alike if key in models]
                known[alike] = self._clock.rates(held) if len(held) == len(chain) else NOTHING
            rated.append((chain, known[alike]))
        return rated

    def _put_together(self, division: Division) -> Split | None:
        evaluated = evaluated_apart(self._problem, [*division.prefill, *division.decode])
        prefills = {stage for chain in division.prefill for stage in chain}
        stages = evaluated.network.stages
        phases: list[Phase] = ["prefill" if s in prefills else "decode" for s in stages]
        try:
            pipeline = pipeline_of_split_placement(self._problem, evaluated.network, phases)
        except InputError:
            return None
        return Split(evaluated, pipeline)


_Rated = tuple[Pipeline, PhaseRates]
"""A chain, and what it serves."""


def _best_of_type(grids: Sequence[Sequence[_Rated]], kept: int) -> list[Division]:
    """Return divisions of the devices of one type: more prefill for less decode."""
    most = SLO_PARAMS.division_grids
    prefilling = sorted(grids, key=lambda grid: -sum(rates.prefill for _, rates in grid))[:most]
    decoding = sorted(grids, key=lambda grid: -sum(rates.decode for _, rates in grid))[:most]
    found = [
        _division(prefill, _apart(rest, prefill))
        for grid in prefilling
        for count in _counts(len(grid))
        for prefill in _choices(grid, count)
        for rest in decoding
    ]
    by_kinds: dict[object, list[Division]] = defaultdict(list)
    for division in found:
        by_kinds[division.kinds].append(division)
    fronts = [one for alike in by_kinds.values() for one in _front(alike)]
    # Devices that are slow at both phases may be better left out.
    return [_division([], []), *_thinned(fronts, kept - 1)]


def _front(found: Sequence[Division]) -> list[Division]:
    """Return the divisions than which none serves more of one phase and as much of the other."""
    front: list[Division] = []
    for division in sorted(found, key=lambda one: (-one.rates.prefill, -one.rates.decode)):
        if not front or division.rates.decode > front[-1].rates.decode:
            front.append(division)
    return front


def _thinned(found: list[Division], kept: int) -> list[Division]:
    """Return some divisions, from those that prefill most to those that decode most."""
    if len(found) <= kept:
        return found
    found.sort(key=lambda one: (-one.rates.prefill, -one.rates.decode))
    return [found[i * (len(found) - 1) // (kept - 1)] for i in range(kept)]


def _counts(length: int) -> list[int]:
    """Return how many of so many pipelines may prefill: any, or some evenly spaced numbers."""
    most = SLO_PARAMS.division_counts
    return sorted(
        {length * i // most for i in range(most + 1)} if length > most else range(length + 1)
    )


def _choices(grid: Sequence[_Rated], count: int) -> Iterator[Sequence[_Rated]]:
    """Yield so many pipelines of a grid: spread over it, near those that decode, or the first."""
    yield [grid[i * len(grid) // count] for i in range(count)]
    if 1 < count < len(grid):
        yield grid[:count]


def _apart(grid: Sequence[_Rated], taken: Sequence[_Rated]) -> list[_Rated]:
    """Return the pipelines of a grid on other devices."""
    used = {(s.host, device) for chain, _ in taken for s in chain for device in s.devices}
    return [
        (chain, rates)
        for chain, rates in grid
        if not any((s.host, device) in used for s in chain for device in s.devices)
    ]


def _division(prefill: Sequence[_Rated], decode: Sequence[_Rated]) -> Division:
    """Return a division without the chains that are too slow for their phase."""
    able = [(chain, rates) for chain, rates in prefill if rates.prefill]
    rest = [(chain, rates) for chain, rates in decode if rates.decode]
    rates = PhaseRates(sum(r.prefill for _, r in able), sum(r.decode for _, r in rest))
    return Division(tuple(chain for chain, _ in able), tuple(chain for chain, _ in rest), rates)


def _sum(rates: Sequence[PhaseRates]) -> PhaseRates:
    return PhaseRates(sum(r.prefill for r in rates), sum(r.decode for r in rates))
