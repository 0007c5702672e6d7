"""Which of a few sizes a step of decodes is padded to, so that one graph serves many steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LEAST_KEYS: Final = 256
"""Fewer keys are not worth a graph of their own."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The size of a padded step."""

    rows: int
    keys: int
    """Keys that are read for each row."""


@dataclass(frozen=True, slots=True)
class BucketLimits:
    """What is run as a graph at most."""

    rows: int
    keys: int


def bucket_of(rows: int, keys: int, limits: BucketLimits) -> Bucket | None:
    """Return the smallest bucket for so many rows, of which the longest sees so many keys.

    Buckets are powers of two, so that at most half of a step is padding, and the largest ones are
    the limits. None if the step exceeds them.
    """
    if not 0 < rows <= limits.rows or not 0 < keys <= limits.keys:
        return None
    return Bucket(
        min(_power_of_two(rows), limits.rows),
        min(_power_of_two(max(keys, _LEAST_KEYS)), limits.keys),
    )


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
