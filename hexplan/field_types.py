"""Types of fields that several models share."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

Exact = Annotated[
    Decimal,
    Field(ge=0, allow_inf_nan=False),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""A non-negative decimal, which JSON carries as a number of at most 15 significant digits."""

Signed = Annotated[
    Decimal,
    Field(allow_inf_nan=False),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""A decimal that may be below 0, which JSON carries in the same way."""

Positive = Annotated[int, Field(gt=0)]
"""An integer above 0."""

Range = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
"""A half-open interval `[first, end)`."""

Compression = Literal["none", "int8"]
"""How activations pass: as they are, or as 8-bit integers in blocks that share a scale."""
