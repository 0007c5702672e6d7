"""Which tokens of a step each rank takes, where ranks share them out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from hexplan.field_types import Range


@dataclass(frozen=True, slots=True)
class Portions:
    """The tokens of a step, in one range for each of the ranks that exchange; some may be empty."""

    ranges: tuple[Range, ...]
    """Each `[first, end)`, one after another along the batch."""
    rank: int
    """The rank that looks."""

    @property
    def own(self) -> slice:
        """The tokens of the rank that looks."""
        return slice(*self.ranges[self.rank])

    @staticmethod
    def of(tokens: int, ranks: int, rank: int) -> Portions:
        """Cut so many tokens as evenly as they go; the first ranks take one more of what is left.

        So the leader takes as many as any, which is the number that the plan's times rest on.
        """
        least, more = divmod(tokens, ranks)
        ends = tuple(accumulate(least + (index < more) for index in range(ranks)))
        return Portions(tuple(zip((0, *ends), ends, strict=False)), rank)
