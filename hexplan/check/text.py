"""How messages write exact numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hexplan.check.exact import RATE_STEP
from hexplan.constants import RATE_DIGITS
from hexplan.field_types import Range

UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))


def number(value: Fraction | Decimal | int) -> str:
    """Write a number without any float: to 1e-6 if that is exact, else to 1e-12."""
    fraction = Fraction(value)
    is_on_grid = (fraction / RATE_STEP).denominator == 1
    return _decimals(fraction, RATE_DIGITS if is_on_grid else 2 * RATE_DIGITS)


def rate(value: Fraction | Decimal | int) -> str:
    """Write tokens per second."""
    return f"{number(value)} tokens/s"


def sizes(counts_bytes: tuple[int, ...], largest_bytes: int) -> list[str]:
    """Write byte counts in one unit, so that a reader can add them up."""
    unit, name = next((size for size in UNITS if abs(largest_bytes) >= size[0]), UNITS[-1])
    return [f"{_decimals(Fraction(count, unit), 2)} {name}" for count in counts_bytes]


def _decimals(value: Fraction, digits: int) -> str:
    scaled = round(value * 10**digits)
    whole, part = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")


def span(interval: Range) -> str:
    """Write a half-open interval."""
    return f"[{interval[0]}, {interval[1]})"
