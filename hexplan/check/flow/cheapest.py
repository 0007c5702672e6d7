"""The cheapest route from entry to exit under given prices, over all allowed edges."""

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
    """A route from entry to exit, and what a token pays on it."""

    price: Fraction
    """The sum of prices, each times the use of its capacity by one token."""
    stages: tuple[str, ...]
    """The stages of the route."""


def cheapest_route(lookup: Lookup, prices: Mapping[str, Fraction]) -> PricedRoute | None:
    """Return the cheapest route that the placement allows, or None if it allows none."""
    # Integer multiples of a common unit are as exact as fractions, and much faster to add.
    unit = lcm(*(price.denominator for price in prices.values()))
    search = _Search(lookup, {name: int(price * unit) for name, price in prices.items()})
    # An edge leads to a stage that ends later, so in this order all edges into a stage are known.
    for stage in sorted(lookup.plan.stages, key=lambda stage: stage.layers[1]):
        search.reach(stage.id)
    search.reach(EXIT)
    if EXIT not in search.paid:
        return None
    return PricedRoute(Fraction(search.paid[EXIT], unit), search.stages_before(EXIT))


@dataclass(frozen=True, slots=True)
class _Search:
    """Dynamic programming over stages in the order of their ends."""

    lookup: Lookup
    prices: Mapping[str, int]
    paid: dict[str, int] = field(default_factory=lambda: {ENTRY: 0})
    """The least that a token pays up to each end reached so far."""
    came_from: dict[str, str] = field(default_factory=dict)
    """The stage before each end, on the cheapest route to it."""
    transfer_prices: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """What a token pays for NICs and trunk between two hosts; None if nothing connects them."""
    leaving: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: {0: [(0, ENTRY)]})
    """Stages by the layer at which they end, with what a token has paid by then, least first."""

    def reach(self, target: str) -> None:
        """Record the cheapest route to a target over the stages reached so far, if there is one."""
        cheapest = self._cheapest_edge_into(target)
        if cheapest is not None:
            price, source = cheapest
            self.paid[target] = price + self.prices.get(f"stage:{target}", 0)
            self.came_from[target] = source
            if target != EXIT:
                ending = self.leaving.setdefault(self.lookup.stages[target].layers[1], [])
                insort(ending, (self.paid[target], target))

    def stages_before(self, end: str) -> tuple[str, ...]:
        """Return the stages of the recorded route to an end."""
        chain = []
        while (end := self.came_from[end]) != ENTRY:
            chain.append(end)
        return tuple(reversed(chain))

    def _cheapest_edge_into(self, target: str) -> tuple[int, str] | None:
        best: tuple[int, str] | None = None
        first, end = self._enter_layers(target)
        for layer, stages in self.leaving.items():
            for paid, source in stages if first <= layer < end else ():
                # No price is negative, so all later stages pay at least as much.
                if best is not None and paid >= best[0]:
                    break
                if not self.lookup.joins(source, target):
                    continue
                transfer = self._transfer_price(source, target)
                if transfer is not None:
                    price = paid + transfer + self.prices.get(f"link:{source}>{target}", 0)
                    best = (price, source) if best is None else min(best, (price, source))
        return best

    def _enter_layers(self, target: str) -> tuple[int, int]:
        """Return the layers at which a request may enter a target, half-open."""
        num_layers = self.lookup.plan.model.layers
        if target == EXIT:
            return num_layers, num_layers + 1
        first, end = self.lookup.stages[target].layers
        return (first, first + 1) if self.lookup.counts_host_memory else (first, end)

    def _transfer_price(self, source: str, target: str) -> int | None:
        """Return what a token pays for NICs and trunk, or None if there is no link."""
        hosts = self.lookup.host_of(source), self.lookup.host_of(target)
        if hosts not in self.transfer_prices:
            connection = self.lookup.connection(source, target)
            if connection is None:
                self.transfer_prices[hosts] = None
            else:
                paid = sum(self.prices.get(name, 0) for name in connection.shared)
                self.transfer_prices[hosts] = connection.bytes_per_token * paid
        return self.transfer_prices[hosts]
