"""The pattern bound, recomputed from its prices (docs/formulation.md 8).

Each layer is held by stages whose rates sum to at least F: a pattern. A stage of k layers pays 1/k
of its group's price in each of them. If the cheapest pattern pays more than the L-th part of what
all groups that the hosts can form are worth, F is impossible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from hexplan.bound_proof import GroupPrice, PatternProof
from hexplan.check.bound import rules
from hexplan.check.bound.curves import GroupKey
from hexplan.check.bound.supply import ShapeSupply
from hexplan.check.exact import RATE_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Violation
from hexplan.check.text import number, rate
from hexplan.constants import MICRO, PATTERN_STEPS, PRICE_DIGITS

UNITS = 10 ** (PRICE_DIGITS + 3)
"""Units of a price, finer than its digits: what a layer pays is rounded down to whole ones."""

Prices = Mapping[GroupKey, Fraction]


def pattern_violations(
    lookup: Lookup, supply: Sequence[ShapeSupply], proof: PatternProof
) -> Iterator[Violation]:
    """Yield prices that are misplaced, or a bound that they do not prove."""
    read = read_prices(supply, proof.prices)
    yield from read.violations
    if read.violations:
        return
    layers, bound = lookup.plan.model.layers, exact(lookup.plan.certificate.bound_tokens_per_s)
    # No flow is larger than the bound, if the next larger one is impossible.
    target = floor(bound * MICRO) + 1
    paid = cheapest_pattern(supply, read.prices, target)
    worth = all_groups(supply, read.prices)
    if worth >= layers * paid:
        most = f"patterns for {number(Fraction(worth, paid))} layers" if paid else "any pattern"
        message = (
            f"at {rate(bound + RATE_STEP)} its prices allow {most},"
            f" needed fewer than the model's {layers}"
        )
        yield rules.BOUND_NOT_PROVED.at("certificate, proof", message)


@dataclass(frozen=True, slots=True)
class ReadPrices:
    """Prices by the groups that they are for, and what is wrong with the list."""

    prices: Prices
    violations: tuple[Violation, ...]


def read_prices(supply: Sequence[ShapeSupply], listed: Sequence[GroupPrice]) -> ReadPrices:
    """Find the groups that a list of prices names."""
    home = {name: each for each in supply for name in each.hosts}
    prices: dict[GroupKey, Fraction] = {}
    wrong: list[Violation] = []
    for index, each in enumerate(listed):
        where, own = f"certificate, price {index}", home.get(each.host)
        if own is None or each.devices not in own.curves:
            message = f"no host {each.host} can form a group of {', '.join(each.devices)}"
            wrong.append(rules.PROOF_MISPLACED.at(where, message))
            continue
        key = GroupKey.of(own.shape, each.devices)
        if key in prices:
            message = f"groups like {', '.join(each.devices)} of {each.host} have another price"
            wrong.append(rules.PROOF_MISPLACED.at(where, message))
        prices[key] = exact(each.price)
    return ReadPrices(prices, tuple(wrong))


def cheapest_pattern(supply: Sequence[ShapeSupply], prices: Prices, target: int) -> int:
    """Return the least that a layer pays for a flow in 1e-6 tokens/s, rounded down to units.

    Rates are rounded up to steps of the target, which can only make patterns cheaper.
    """
    cost_of: dict[int, int] = {}
    for each in supply:
        for group, curve in each.curves.items():
            price = UNITS * prices.get(GroupKey.of(each.shape, group), Fraction(0))
            for k, speed in enumerate(curve):
                if not speed:
                    continue
                steps = min(PATTERN_STEPS, -(-speed * PATTERN_STEPS // target))
                cost = floor(price / k)
                cost_of[steps] = min(cost, cost_of.get(steps, cost))
    return _cover(_undominated(cost_of))


def all_groups(supply: Sequence[ShapeSupply], prices: Prices) -> int:
    """Return the most that the groups of all hosts are worth, rounded up to units."""
    total = 0
    for each in supply:
        worth = {
            group: ceil(UNITS * prices.get(GroupKey.of(each.shape, group), Fraction(0)))
            for group in each.curves
        }
        total += len(each.hosts) * each.most(worth.__getitem__)
    return total


def _undominated(cost_of: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return (steps, cost) pairs, without those that are dearer than others of more steps."""
    kept: list[tuple[int, int]] = []
    for steps, cost in sorted(cost_of.items(), reverse=True):
        if not kept or cost < kept[-1][1]:
            kept.append((steps, cost))
    return kept


def _cover(items: Sequence[tuple[int, int]]) -> int:
    """Return the least cost of items whose steps sum to all steps; 0 if there are no items.

    Without items no flow is possible at all, but that is no matter of prices.
    """
    best = [0] * (PATTERN_STEPS + 1)
    for need in range(1, PATTERN_STEPS + 1):
        best[need] = min((best[max(0, need - steps)] + cost for steps, cost in items), default=0)
    return best[PATTERN_STEPS]
