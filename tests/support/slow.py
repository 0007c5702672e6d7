"""Parameters of tests that are tried only in the slow suite."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from _pytest.mark import ParameterSet


def slow(value: object) -> ParameterSet:
    """Return a parameter that is tried only where there is time."""
    return pytest.param(value, marks=pytest.mark.slow)


def few_are_fast(values: Sequence[object], fast: int) -> list[object]:
    """Return parameters, of which only the first few are tried in the fast suite."""
    return [*values[:fast], *map(slow, values[fast:])]
