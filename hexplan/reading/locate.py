"""Errors that name the file, the line and the field of a cluster.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexplan.errors import SpecError
from hexplan.files.field_errors import one_error
from hexplan.wording import path_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hexplan.files.field_errors import FieldError
    from hexplan.wording import KeyPath


@dataclass(frozen=True, slots=True)
class Locator:
    """The line of each field of one file, and the errors that name them."""

    file: str
    """The file as the user named it."""
    lines: Mapping[KeyPath, int]
    """The line of each field by its path."""

    def line(self, path: KeyPath) -> int:
        """Return the line of a field, or of the nearest field around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: KeyPath, problem: str, *, hint: str | None = None) -> SpecError:
        """Return an error about one field."""
        return SpecError(self._where(path), problem, hint=hint)

    def errors(self, problems: Iterable[FieldError]) -> SpecError:
        """Return one error about several fields, in the order of the file."""
        ordered = sorted(problems, key=lambda problem: self.line(problem.path))
        return one_error(ordered, self._where)

    def _where(self, path: KeyPath) -> str:
        place = f"{self.file}:{self.line(path)}"
        return f"{place}: {path_text(path)}" if path else place
