"""The fields of one config.json, and the errors about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hexplan.errors import SpecError
from hexplan.wording import found


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The fields of one config.json; null counts as missing, as it does in transformers."""

    file: Path
    values: Mapping[str, object]
    sha256: str
    prefix: str = ""
    """Where the fields stand in the file: `text_config.` inside a wrapper."""

    def error(self, field: str, problem: str, hint: str | None = None) -> SpecError:
        """Return the error that names this file and one of its fields."""
        return SpecError(f"{self.file}: {self.prefix}{field}", problem, hint=hint)

    def count(self, field: str, default: int | None = None) -> int:
        """Return a whole number above 0, or the default where the field is missing."""
        value = self.values.get(field)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(field, f"found {found(value)}, needed a whole number > 0")
        return value

    def flag(self, field: str) -> bool:
        """Return a truth value; false where the field is missing."""
        value = self.values.get(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.error(field, f"found {found(value)}, needed true or false")
