"""Free token slots of an arena: which a request gets, and how what it gives back is joined."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from hexplan.field_types import Range


class FreeSlots:
    """Slots `[0, tokens)`, handed out as half-open ranges and taken back in any order.

    A slot holds one token, so nothing is lost to rounding. A request gets one range if any free
    one is long enough. Otherwise it gets several, so a fragmented arena refuses nothing.
    """

    def __init__(self, tokens: int) -> None:
        self._ranges: list[Range] = [(0, tokens)] if tokens else []
        self.count = tokens
        """Number of free slots."""

    def take(self, tokens: int) -> tuple[Range, ...]:
        """Return that many slots; there must be as many.

        The shortest free range that is long enough is best, as it leaves long ones whole. Where
        none is, the longest ones keep the number of ranges small.
        """
        assert tokens <= self.count
        taken: list[Range] = []
        while tokens:
            wide = [free for free in self._ranges if _length(free) >= tokens]
            first, end = min(wide, key=_length) if wide else max(self._ranges, key=_length)
            cut = min(end, first + tokens)
            self._remove(first, end, cut)
            taken.append((first, cut))
            tokens -= cut - first
        return tuple(taken)

    def give_back(self, ranges: Iterable[Range]) -> None:
        """Take slots back, and join them with free neighbours."""
        for first, end in ranges:
            self.count += end - first
            index = bisect_left(self._ranges, (first, end))
            if index < len(self._ranges) and self._ranges[index][0] == end:
                end = self._ranges.pop(index)[1]
            if index and self._ranges[index - 1][1] == first:
                index -= 1
                first = self._ranges.pop(index)[0]
            self._ranges.insert(index, (first, end))

    def _remove(self, first: int, end: int, cut: int) -> None:
        """Take `[first, cut)` from the free range `[first, end)`."""
        index = self._ranges.index((first, end))
        self._ranges[index : index + 1] = [(cut, end)] if cut < end else []
        self.count -= cut - first


def _length(slots: Range) -> int:
    return slots[1] - slots[0]
