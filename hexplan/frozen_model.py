"""The base class of everything that hexplan reads from or writes to a file."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A frozen, strict model that refuses unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    def __copy__(self) -> Self:
        """Copy the fields, but no cached property: `model_copy` may change what it rests on."""
        copied = super().__copy__()
        for name in [name for name in copied.__dict__ if name not in type(self).model_fields]:
            del copied.__dict__[name]
        return copied
