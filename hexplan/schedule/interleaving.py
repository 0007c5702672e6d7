"""Interleaving: into which two lanes a step is cut, and in which pieces its sums begin.

Only the step and the plan count, so every rank of a stage finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from hexplan.field_types import Range
from hexplan.techniques import Interleave

MOST_PIECES: Final = 8
"""A product is cut into so many pieces at most, as in Liger's artifact (PPoPP 2024)."""
_SLACK: Final = 16
"""A lane may be longer than half of a step by this part of it, if no row is cut then."""


def lane_cut(row_tokens: Sequence[int], interleave: Interleave) -> int | None:
    """Return after how many tokens a step is cut into two lanes; None if it runs as one.

    Lanes are equally long, as what one does while the other has ended is not overlapped. They end
    where a row ends, if one does near the middle: a prompt in both lanes reads its keys twice.

    Parameters
    ----------
    row_tokens
        Tokens of each row, in their order.
    """
    tokens = sum(row_tokens)
    if tokens < interleave.from_tokens:
        return None
    half = -(-tokens // 2)
    ends = list(accumulate(row_tokens))[:-1]
    nearest = min(ends, key=lambda end: abs(end - half), default=half)
    return nearest if abs(nearest - half) * _SLACK <= tokens else half


def pieces_of(tokens: int, interleave: Interleave) -> tuple[Range, ...]:
    """Return the pieces, `[first, end)`, in which the sums of some tokens begin one by one."""
    count = max(1, min(MOST_PIECES, tokens // interleave.piece_tokens))
    ends = [tokens * number // count for number in range(count + 1)]
    return tuple(zip(ends, ends[1:], strict=False))
