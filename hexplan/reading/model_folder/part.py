"""An object within a config, with typed access to its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hexplan.errors import SpecError
from hexplan.model import NumberType
from hexplan.reading.model_folder.config import ModelConfig
from hexplan.reading.model_folder.patterns import ModuleList, PatternError
from hexplan.wording import found, join_or

UNQUANTISED = "use the folder of the unquantised model, and state `weights` in the cluster file"
_INTEGERS: Mapping[int, NumberType] = {2: "int2", 3: "int3", 4: "int4", 8: "int8"}


@dataclass(frozen=True, slots=True)
class Block:
    """Weights that share a scale; None means all of a side."""

    rows: int | None = None
    columns: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigPart:
    """An object within a config."""

    config: ModelConfig
    where: str
    values: Mapping[str, object]

    def error(self, field: str, problem: str, hint: str | None = None) -> SpecError:
        """Return the error that names a field of this object."""
        return self.config.error(f"{self.where}.{field}".removeprefix("."), problem, hint)

    def choice(self, field: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Return one of the known words."""
        value = self.values.get(field)
        value = default if value is None else value
        if value in known:
            return value
        problem = f"found {found(value)}, needed {join_or(known)}"
        raise self.error(field, problem, UNQUANTISED)

    def integer(self, field: str, default: int) -> NumberType:
        """Return the integer type of as many bits as a field states."""
        value = self.values.get(field)
        value = default if value is None else value
        if isinstance(value, int) and value in _INTEGERS:
            return _INTEGERS[value]
        raise self.error(field, f"found {found(value)}, needed 2, 3, 4 or 8", UNQUANTISED)

    def count(self, field: str, default: int | None = None) -> int | None:
        """Return a whole number above 0; nothing where it is missing, or -1 for all."""
        value = self.values.get(field, default)
        if value is None or value == -1:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            problem = f"found {found(value)}, needed a whole number > 0"
            raise self.error(field, problem)
        return value

    def block(self, field: str, default: Block) -> Block:
        """Return the block that shares a scale."""
        value = self.values.get(field)
        if value is None:
            return default
        sizes = value if isinstance(value, list) and len(value) == 2 else []
        rows, columns = (size if isinstance(size, int) else 0 for size in sizes or (0, 0))
        if rows < 1 or columns < 1:
            problem = f"found {found(value)}, needed two whole numbers > 0"
            raise self.error(field, problem)
        return Block(rows, columns)

    def modules(self, field: str, read: Callable[[object], ModuleList]) -> ModuleList:
        """Return the modules that a field lists; none where it is missing."""
        try:
            return read(self.values.get(field))
        except PatternError as error:
            raise self.error(field, str(error), UNQUANTISED) from error

    def part(self, field: str) -> ConfigPart:
        """Return an object within this one."""
        value = self.values.get(field)
        if not isinstance(value, dict):
            problem = f"found {found(value)}, needed an object"
            raise self.error(field, problem)
        return ConfigPart(self.config, f"{self.where}.{field}".removeprefix("."), value)
