"""The cheapest route from entry to exit under given prices, over all edges, used or not."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from hexplan.check.lookup import Lookup
from hexplan.plan import ENTRY, EXIT


@dataclass(frozen=True, slots=True)
class PricedRoute:
    """A way from entry to exit, and what a token pays on it."""

    price: Fraction
    """The sum of prices times use."""
    stages: tuple[str, ...]
    """The stages on the way."""


def cheapest_route(lookup: Lookup, prices: Mapping[str, Fraction]) -> PricedRoute | None:
    """Return the cheapest route that the placement allows, or nothing where it allows none."""
    # Whole numbers of a common unit are as exact as fractions, and much faster to add.
    unit = lcm(*(price.denominator for price in prices.values()))
    search = _Search(lookup, {name: int(price * unit) for name, price in prices.items()})
    # An edge leads to a stage that ends later, so in this order all ways into a stage are known.
    for stage in sorted(lookup.plan.stages, key=lambda stage: stage.layers[1]):
        search.reach(stage.id)
    search.reach(EXIT)
    if EXIT not in search.paid:
        return None
    return PricedRoute(Fraction(search.paid[EXIT], unit), search.stages_before(EXIT))


@dataclass(frozen=True, slots=True)
class _Search:
    lookup: Lookup
    prices: Mapping[str, int]
    paid: dict[str, int] = field(default_factory=lambda: {ENTRY: 0})
    came_from: dict[str, str] = field(default_factory=dict)
    fares: dict[tuple[str, str], int | None] = field(default_factory=dict)
    leaving: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: {0: [(0, ENTRY)]})
    """By the layer at which they end: stages with what a token has paid by then, least first."""

    def reach(self, target: str) -> None:
        """Note the cheapest way to a target through what is already reached, if there is any."""
        way = self._cheapest_way_into(target)
        if way is not None:
            price, source = way
            self.paid[target] = price + self.prices.get(f"stage:{target}", 0)
            self.came_from[target] = source
            if target != EXIT:
                ending = self.leaving.setdefault(self.lookup.stages[target].layers[1], [])
                insort(ending, (self.paid[target], target))

    def stages_before(self, end: str) -> tuple[str, ...]:
        """Return the stages on the way that was noted."""
        chain = []
        while (end := self.came_from[end]) != ENTRY:
            chain.append(end)
        return tuple(reversed(chain))

    def _cheapest_way_into(self, target: str) -> tuple[int, str] | None:
        best: tuple[int, str] | None = None
        first, end = self._enter_layers(target)
        for layer, stages in self.leaving.items():
            for paid, source in stages if first <= layer < end else ():
                # No price is negative, so that all further ones pay at least as much.
                if best is not None and paid >= best[0]:
                    break
                fare = self._fare(source, target)
                if fare is not None:
                    price = paid + fare + self.prices.get(f"link:{source}>{target}", 0)
                    best = (price, source) if best is None else min(best, (price, source))
        return best

    def _enter_layers(self, target: str) -> tuple[int, int]:
        """Return the layers at which a request may come to a target, half-open."""
        num_layers = self.lookup.plan.model.layers
        is_exit = target == EXIT
        return (num_layers, num_layers + 1) if is_exit else self.lookup.stages[target].layers

    def _fare(self, source: str, target: str) -> int | None:
        """Return what a token pays for NICs and trunk, or nothing where no link is."""
        hosts = self.lookup.host_of(source), self.lookup.host_of(target)
        if hosts not in self.fares:
            connection = self.lookup.connection(source, target)
            if connection is None:
                self.fares[hosts] = None
            else:
                paid = sum(self.prices.get(name, 0) for name in connection.shared)
                self.fares[hosts] = connection.bytes_per_token * paid
        return self.fares[hosts]
