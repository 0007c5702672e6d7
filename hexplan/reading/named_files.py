"""Files that a cluster.yaml names: errors about them never quote what stands in them.

A cluster.yaml may come from somebody else. It could name any file of this machine, and errors that
quote that file would print its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hexplan.errors import InputError, SpecError
from hexplan.files.bounded import is_own_stream
from hexplan.files.yaml_reader import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from hexplan.files.yaml_reader import YamlDocument
    from hexplan.reading.locate import Locator
    from hexplan.wording import KeyPath

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a field of a cluster.yaml names."""

    path: Path
    """Where it is."""
    kind: str
    """What it should be, such as `a profile`."""
    field: KeyPath
    """The field that names it."""
    at: Locator
    """Reports errors about that field."""

    def require_file(self) -> None:
        """Refuse a stream of this process, such as /dev/stdin: only the command line names those.

        Raises
        ------
        SpecError
            If the path names such a stream.
        """
        if is_own_stream(self.path):
            raise self.at.error(self.field, f"found {self.path}, needed the path of a file")

    def read(self, reader: Callable[[Path], Content]) -> Content:
        """Return what a reader makes of the file.

        Raises
        ------
        SpecError
            If the reader refuses the file. It says where, and what is needed, but quotes nothing.
        """
        self.require_file()
        try:
            return reader(self.path)
        except SpecError as error:
            problem = f"{error.where}: this is not {self.kind}: {error.needed}"
            raise self.at.error(self.field, problem) from error
        except InputError as error:
            raise self.at.error(self.field, error.message, hint=error.hint) from error

    def read_yaml(self, needed: Collection[str]) -> YamlDocument:
        """Return the mapping of a YAML file that has all fields of its kind."""
        document = self.read(read_yaml)
        missing = [f"`{name}`" for name in needed if name not in document.data]
        if missing:
            problem = f"{self.path}: this is not {self.kind}: it lacks {', '.join(missing)}"
            raise self.at.error(self.field, problem)
        return document
