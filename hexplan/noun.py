"""The base of every noun that stands in a file: frozen, strict, and without unknown fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

RATE_DIGITS = 6
"""Rates are whole numbers of 1e-6 tokens/s, so that every sum of them is exact."""

WEIGHT_DIGITS = 9
"""Weights are whole numbers of 1e-9, so that they sum to exactly 1."""

Exact = Annotated[
    Decimal,
    Field(ge=0, allow_inf_nan=False),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""A non-negative decimal that JSON carries as a number of at most 15 significant digits."""

Positive = Annotated[int, Field(gt=0)]
"""A whole number above 0."""

Range = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
"""A half-open interval `[first, end)`."""


class Noun(BaseModel):
    """A frozen, strict value that refuses fields it does not know."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    def __copy__(self) -> Self:
        """Copy the fields alone: `model_copy` may change what cached properties rest on."""
        copied = super().__copy__()
        for name in [name for name in copied.__dict__ if name not in type(self).model_fields]:
            del copied.__dict__[name]
        return copied
