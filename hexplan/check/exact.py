"""Exact arithmetic: steps to which figures are rounded, and tolerances for inexact ones."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hexplan.constants import RATE_DIGITS, WEIGHT_DIGITS

RATE_STEP = Fraction(1, 10**RATE_DIGITS)
"""The smallest step of a rate."""

WEIGHT_STEP = Fraction(1, 10**WEIGHT_DIGITS)
"""The smallest step of a weight or share."""

FLOAT_TOLERANCE = Fraction(1, 10**9)
"""How far a figure of the planner may be off, as a share of it, because it used floats.

The planner's formulas take some tens of operations on doubles, each exact to about 1e-16; the rest
is margin.
"""


def exact(value: Decimal | int) -> Fraction:
    """Return the same number as a fraction, whose arithmetic never rounds."""
    return Fraction(value)


def round_down(rate: Fraction) -> Fraction:
    """Return a rate rounded down to a multiple of 1e-6."""
    return rate // RATE_STEP * RATE_STEP
