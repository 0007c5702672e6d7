"""Designs that are worth choosing from: those of one part, and those that prices ask for."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations

from hexplan.constants import MICRO
from hexplan_solver.budget import GoesOn
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.replicas.cover import Offer, cheapest_cover
from hexplan_solver.replicas.design import Design, designed
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import Family, HostPart, every_choice, host_of
from hexplan_solver.replicas.supply import Row, Supply
from hexplan_solver.segments.column_lp import ColumnLp, LpColumn, RowBounds

Sites = frozenset[str]


class Columns:
    """The designs found so far; more come by pricing, as in column generation."""

    def __init__(self, problem: Problem, of: Sequence[Family], goes_on: GoesOn) -> None:
        self.supply = Supply.of(problem)
        self.designs: list[Design] = []
        self._problem, self._goes_on = problem, goes_on
        self._families = of
        self._known: set[object] = set()
        self._rows = {row: i for i, row in enumerate(sorted(self.supply.limits))}
        self._lp = ColumnLp([RowBounds(0, self.supply.limits[row]) for row in self._rows])
        self._sites = _site_sets(problem)
        self._held: dict[tuple[int, int], int] = {}
        self._known_speeds: dict[frozenset[int], list[int]] = {}

    def find(self) -> None:
        """Collect designs until none gains at the prices that the others give, or time is up."""
        for design in self._seeds():
            self._add(design)
        for _ in range(REPLICA_PARAMS.rounds):
            if not self._goes_on():
                return
            found = list(self._priced(self._prices(), REPLICA_PARAMS.gain))
            if not sum(self._add(design) for design in found):
                break
        self._widen()

    def _widen(self) -> None:
        """Add designs that are the best at prices near those of the LP, gain or not.

        Whole numbers of replicas seldom use the designs of the LP alone.
        """
        rng = random.Random(0)  # noqa: S311 - a search, not a secret
        prices, noise = self._prices(), REPLICA_PARAMS.noise
        for _ in range(REPLICA_PARAMS.noisy_rounds):
            if not self._goes_on():
                return
            changed = {r: p * rng.uniform(1 - noise, 1 + noise) for r, p in prices.items()}
            for design in list(self._priced(changed, -math.inf)):
                self._add(design)

    def _add(self, design: Design) -> bool:
        key = design.parts, design.seats
        taken = self.supply.taken_by(design)
        if key in self._known or any(n > self.supply.limits[row] for row, n in taken.items()):
            return False
        self._known.add(key)
        self.designs.append(design)
        entries = [(self._rows[row], float(amount)) for row, amount in taken.items()]
        self._lp.add([LpColumn(design.tokens_per_s, entries)])
        return True

    def _prices(self) -> dict[Row, float]:
        _, duals = self._lp.solve()
        return {row: max(0.0, duals[i]) for row, i in self._rows.items()}

    def _seeds(self) -> Iterator[Design]:
        """Yield replicas of equal parts, from the shortest that hold the model, and all if few."""
        for family in self._families:
            for parts in every_choice(self._problem, family, REPLICA_PARAMS.most_choices):
                if not self._goes_on():
                    return
                yield from self._made(family, parts)
            if family.main is not None:
                yield from self._made(family, ())
            for part in family.parts:
                if not self._goes_on():
                    return
                yield from self._of_equal_parts(family, part)

    def _of_equal_parts(self, family: Family, part: HostPart) -> Iterator[Design]:
        hosts = len(self._problem.classes[part.host_class].hosts)
        main = family.main
        if main is not None:
            most = min(len(main.kinds), hosts - (main.host_class == part.host_class))
        else:
            most = min(hosts, self._problem.num_layers // len(part.kinds))
        found = 0
        for length in range(1, most + 1):
            for design in self._made(family, (part,) * length):
                found += 1
                yield design
            if found >= REPLICA_PARAMS.seed_lengths:
                return

    def _made(self, family: Family, parts: Sequence[HostPart]) -> Iterator[Design]:
        design = designed(self._problem, parts, family.main)
        if design is not None:
            yield design

    def _priced(self, prices: dict[Row, float], least: float) -> Iterator[Design]:
        """Yield, for each family and set of sites, the design that gains most at some prices.

        Parameters
        ----------
        least
            What it has to gain, as a share of its flow.
        """
        for family in self._families:
            for sites in self._sites:
                if not self._goes_on():
                    return
                parts = [p for p in family.parts if self._site(p) in sites]
                main = family.main
                if (self._site(main) not in sites) if main is not None else not parts:
                    continue
                yield from self._best_of(Family(tuple(parts), main), prices, least)

    def _best_of(self, family: Family, prices: dict[Row, float], least: float) -> Iterator[Design]:
        main = family.main
        every = [*family.parts, *([main] if main is not None else [])]
        costs = [self.supply.price(part, prices) for part in family.parts]
        own = self.supply.price(main, prices) if main is not None else 0.0
        best: tuple[float, Sequence[int]] | None = None
        for speed in self._speeds(every):
            need = self._problem.num_layers - (self._holds(main, speed) if main is not None else 0)
            offers = [
                Offer(self._holds(part, speed), cost, self._count(part, main))
                for part, cost in zip(family.parts, costs, strict=True)
            ]
            found = cheapest_cover(offers, need, family.most_parts or self._problem.num_layers)
            if found is None:
                continue
            gain = speed / MICRO - found.price - own
            if gain > least * speed / MICRO and (best is None or gain > best[0]):
                best = gain, found.taken
        if best is not None:
            taken = zip(family.parts, best[1], strict=True)
            yield from self._made(family, [part for part, n in taken for _ in range(n)])

    def _count(self, part: HostPart, main: HostPart | None) -> int:
        """Return how many such parts one replica may have: each on a host of its own."""
        hosts = len(self._problem.classes[part.host_class].hosts)
        is_taken = main is not None and main.host_class == part.host_class
        return hosts - is_taken

    def _site(self, part: HostPart) -> str:
        return host_of(self._problem, part.host_class).site

    def _speeds(self, parts: Sequence[HostPart]) -> list[int]:
        """Return speeds at which the layers that parts hold change, some of them if many."""
        kinds = frozenset(kind for part in parts for kind in part.kinds)
        if kinds not in self._known_speeds:
            self._known_speeds[kinds] = self._speeds_of(kinds)
        return self._known_speeds[kinds]

    def _speeds_of(self, kinds: frozenset[int]) -> list[int]:
        found = sorted({rate for kind in kinds for rate in _row(self._problem.kinds[kind]) if rate})
        most = max(REPLICA_PARAMS.speeds, REPLICA_PARAMS.speeds_of_kinds // len(kinds))
        if len(found) <= most:
            return found
        # Evenly in proportion, as speeds span orders of magnitude.
        low, high = math.log(found[0]), math.log(found[-1])
        wanted = [math.exp(low + (high - low) * i / (most - 1)) for i in range(most)]
        return sorted({min(found, key=lambda rate: abs(rate - speed)) for speed in wanted})

    def _holds(self, part: HostPart, speed: int) -> int:
        return sum(self._held_by(kind, speed) for kind in part.kinds)

    def _held_by(self, kind: int, speed: int) -> int:
        """Return the most layers that a stage holds at a speed at least."""
        if (kind, speed) not in self._held:
            row = _row(self._problem.kinds[kind])
            most = max((k for k, rate in enumerate(row) if rate >= speed), default=0)
            self._held[kind, speed] = most
        return self._held[kind, speed]


def _row(kind: StageKind) -> tuple[int, ...]:
    """Return the speed of a stage by the layers held: inside the model, or with all of it."""
    rates = kind.rates
    total = rates.num_layers
    inside = rates.by_layers[False][False][: max(0, total - 1)]
    at_ends = rates.by_layers[True][False][len(inside) : total]
    return (*inside, *at_ends, rates.of(0, total))


def _site_sets(problem: Problem) -> list[Sites]:
    """Return the sets of sites whose hosts a replica may have: each, each two, and all."""
    sites = sorted({host.site for host in problem.spec.cluster.hosts})
    found = [frozenset([site]) for site in sites]
    if len(sites) > 1:
        found += [frozenset(pair) for pair in combinations(sites, 2)]
        found.append(frozenset(sites))
    return list(dict.fromkeys(found))[: REPLICA_PARAMS.most_site_sets]
