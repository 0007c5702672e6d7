"""Designs that are worth choosing from: those of one part, and those that prices ask for."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations

from hexplan_solver.budget import GoesOn
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.design import Design, designed
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import Family, HostPart, every_choice, host_of
from hexplan_solver.replicas.priced import PricedFamily
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
        self._known_families: dict[Family, PricedFamily] = {}

    def find(self, *, is_hasty: bool = False) -> None:
        """Collect designs until none gains at the prices that the others give, or time is up.

        Parameters
        ----------
        is_hasty
            Whether fewer rounds follow these, where a round prices many families.
        """
        for design in self._seeds():
            self._add(design)
        for _ in range(REPLICA_PARAMS.rounds):
            if not self._goes_on():
                return
            found = list(self._priced(self._prices(), REPLICA_PARAMS.gain))
            if not sum(self._add(design) for design in found):
                break
        calls = len(self._families) * len(self._sites)
        few = -(-REPLICA_PARAMS.noisy_calls // max(1, calls))
        most = REPLICA_PARAMS.noisy_rounds
        self._widen(min(few, most) if is_hasty else most)

    def _widen(self, num_rounds: int) -> None:
        """Add designs that are the best at prices near those of the LP, gain or not.

        Whole numbers of replicas seldom use the designs of the LP alone.
        """
        rng = random.Random(0)  # noqa: S311 - a search, not a secret
        prices, noise = self._prices(), REPLICA_PARAMS.noise
        for _ in range(num_rounds):
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
        if family not in self._known_families:
            self._known_families[family] = PricedFamily(self._problem, family)
        costs = [self.supply.price(part, prices) for part in family.parts]
        own = self.supply.price(family.main, prices) if family.main is not None else 0.0
        found = self._known_families[family].best(costs, own, least)
        if found is not None:
            yield from self._made(family, found)

    def _site(self, part: HostPart) -> str:
        return host_of(self._problem, part.host_class).site


def _site_sets(problem: Problem) -> list[Sites]:
    """Return the sets of sites whose hosts a replica may have: each, each two, and all."""
    sites = sorted({host.site for host in problem.spec.cluster.hosts})
    found = [frozenset([site]) for site in sites]
    if len(sites) > 1:
        found += [frozenset(pair) for pair in combinations(sites, 2)]
        found.append(frozenset(sites))
    return list(dict.fromkeys(found))[: REPLICA_PARAMS.most_site_sets]
