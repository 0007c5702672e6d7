"""Exact numbers, and how messages write them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hexplan.constants import RATE_DIGITS

RATE_STEP = Fraction(1, 10**RATE_DIGITS)
"""The smallest step of a rate."""

UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))


def exact(value: Decimal | int) -> Fraction:
    """Return the same number as a fraction, whose arithmetic never rounds."""
    return Fraction(value)


def round_down(rate: Fraction) -> Fraction:
    """Return a rate rounded down to whole 1e-6."""
    return rate // RATE_STEP * RATE_STEP


def number(value: Fraction | Decimal | int) -> str:
    """Write a number, to 1e-6 where that is exact and to 1e-12 elsewhere, without any float."""
    found = Fraction(value)
    is_on_grid = (found / RATE_STEP).denominator == 1
    return _decimals(found, RATE_DIGITS if is_on_grid else 2 * RATE_DIGITS)


def rate(value: Fraction | Decimal | int) -> str:
    """Write tokens per second."""
    return f"{number(value)} tokens/s"


def sizes(counts_bytes: tuple[int, ...], largest_bytes: int) -> list[str]:
    """Write counts of bytes in one unit, so that they can be added up by eye."""
    unit, name = next((size for size in UNITS if abs(largest_bytes) >= size[0]), UNITS[-1])
    return [f"{_decimals(Fraction(count, unit), 2)} {name}" for count in counts_bytes]


def _decimals(value: Fraction, digits: int) -> str:
    scaled = round(value * 10**digits)
    whole, part = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")


def span(interval: tuple[int, int]) -> str:
    """Write a half-open interval."""
    return f"[{interval[0]}, {interval[1]})"
