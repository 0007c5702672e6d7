"""The boxes of a zone proof: each is ruled out by prices, empty, or halved."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hexplan.check.bound.pattern import Prices
from hexplan.check.bound.zone_supply import ZoneSupply
from hexplan.constants import EMPTY_BOX, HALVED_BOX, ZONE_STEPS
from hexplan.field_types import Range

Box = tuple[Range, ...]
"""For each zone, between which flows its least flow lies, in 1e-6 tokens/s."""
Supplied = dict[int, int]
"""Least costs by steps supplied; only steps that cost less than all larger numbers of steps."""


@dataclass(frozen=True, slots=True)
class ZoneBoxes:
    """All that rules out boxes at one target."""

    zones: tuple[ZoneSupply, ...]
    prices: tuple[tuple[Prices, ...], ...]
    """Each list of prices, by zones."""
    target: int
    """In 1e-6 tokens/s."""
    num_layers: int
    _costs: dict[int, tuple[list[int], ...]] = field(default_factory=dict)
    """By zones, for each list of prices in use."""

    def why_not(self, root: Box, done: Sequence[int]) -> str:
        """Say why a list of what is done with each box proves nothing; an empty text if it does."""
        boxes, left = [root], list(reversed(done))
        while boxes:
            if not left:
                return "a box is left over, for which the proof says nothing"
            box, way = boxes.pop(), left.pop()
            if way == HALVED_BOX:
                boxes += _halves(box)
            elif way == EMPTY_BOX:
                if not self._is_empty(box):
                    return f"flows fit into the box {_told(box)}"
            elif not 0 <= way < len(self.prices):
                return f"there is no list {way} of prices"
            elif not self._rules_out(way, box):
                return f"the prices {way} allow patterns for all layers in the box {_told(box)}"
        return "it goes on after the last box" if left else ""

    def _limits(self, box: Box) -> list[Range]:
        """Return between which numbers of steps each zone supplies a layer."""
        steps, target = ZONE_STEPS, self.target
        return [
            (low * steps // target, min(steps, -(-(high + zone.span) * steps // target)))
            for zone, (low, high) in zip(self.zones, box, strict=True)
        ]

    def _is_empty(self, box: Box) -> bool:
        """Say whether the zones' flows cannot sum to the target, at some layer or at all."""
        if sum(low for low, _ in box) > self.target:
            return True
        most = sum(high + zone.span for zone, (_, high) in zip(self.zones, box, strict=True))
        # At the layer where one zone is at its least, the others have to make up for it.
        if any(most - zone.span < self.target for zone in self.zones):
            return True
        limits = self._limits(box)
        return sum(cap for _, cap in limits) < ZONE_STEPS or any(low > cap for low, cap in limits)

    def _rules_out(self, index: int, box: Box) -> bool:
        """Say whether no pattern of the box pays so little that all layers could be held."""
        prices = self.prices[index]
        if index not in self._costs:
            self._costs[index] = tuple(
                zone.costs(own, self.target) for zone, own in zip(self.zones, prices, strict=True)
            )
        pairs = zip(self._costs[index], self._limits(box), strict=True)
        *others, last = [_useful(costs, limits) for costs, limits in pairs]
        supplied: Supplied = {0: 0}
        for other in others:
            supplied = _combined(supplied, other)
        paid = _least_for_all(supplied, last)
        if paid is None:
            return True
        worth = sum(zone.worth(own) for zone, own in zip(self.zones, prices, strict=True))
        return worth < self.num_layers * paid


def _useful(costs: Sequence[int], limits: Range) -> Supplied:
    """Return what a zone supplies within its limits, without what costs as much as more would."""
    low, cap = limits
    amounts = range(low, min(cap, len(costs) - 1) + 1)
    return _kept((amount, costs[amount]) for amount in amounts)


def _combined(first: Supplied, second: Supplied) -> Supplied:
    """Return what two zones supply together; more than all steps counts as all."""
    best: Supplied = {}
    for one, cost in first.items():
        for other, more in second.items():
            amount = min(ZONE_STEPS, one + other)
            best[amount] = min(cost + more, best.get(amount, cost + more))
    return _kept(best.items())


def _least_for_all(first: Supplied, second: Supplied) -> int | None:
    """Return the least cost of all steps from two zones together; None if they have too few."""
    amounts = sorted(second)
    found = []
    for one, cost in first.items():
        place = bisect_left(amounts, ZONE_STEPS - one)
        if place < len(amounts):
            found.append(cost + second[amounts[place]])
    return min(found, default=None)


def _kept(pairs: Iterable[tuple[int, int]]) -> Supplied:
    kept: Supplied = {}
    least: int | None = None
    for amount, cost in sorted(pairs, reverse=True):
        if least is None or cost < least:
            kept[amount], least = cost, cost
    return kept


def _halves(box: Box) -> list[Box]:
    """Return the halves of a box at its widest side, the lower one first."""
    widest = max(range(len(box)), key=lambda i: box[i][1] - box[i][0])
    low, high = box[widest]
    middle = (low + high) // 2
    return [(*box[:widest], half, *box[widest + 1 :]) for half in ((low, middle), (middle, high))]


def _told(box: Box) -> str:
    return " x ".join(f"[{low / 1e6:.6g}, {high / 1e6:.6g}]" for low, high in box)
