"""How the weights of a config.json are quantised, from its `quantization_config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from hexplan.errors import SpecError
from hexplan.model import WeightFormat
from hexplan.reading.model_folder.config import ModelConfig
from hexplan.wording import found, join_or

FIELD = "quantization_config"
Name = Literal["fp8", "int8", "int4"]


def read_weight_format(config: ModelConfig) -> WeightFormat | None:
    """Return how quantised weights are stored; nothing where they are not quantised.

    Raises
    ------
    SpecError
        If they are quantised in a way that is not known here.
    """
    stated = config.values.get(FIELD)
    if stated is None and config.values.get("compression_config") is not None:
        raise config.error("compression_config", f"found it, needed `{FIELD}`")
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise config.error(FIELD, f"found {found(stated)}, needed an object")
    part = _Part(config, FIELD, stated)
    method = part.choice("quant_method", tuple(_READERS))
    return _READERS[method](part)


@dataclass(frozen=True, slots=True)
class _Block:
    """Weights that share a scale; None means all of a side."""

    rows: int | None = None
    columns: int | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """An object within the config."""

    config: ModelConfig
    where: str
    values: Mapping[str, object]

    def error(self, field: str, problem: str, hint: str | None = None) -> SpecError:
        """Return the error that names a field of this object."""
        return self.config.error(f"{self.where}.{field}", problem, hint)

    def choice(self, field: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Return one of the known words."""
        value = self.values.get(field)
        value = default if value is None else value
        if value in known:
            return value
        problem = f"found {found(value)}, needed {join_or(known)}"
        hint = "use the folder of the unquantised model, and state `weights` in the cluster file"
        raise self.error(field, problem, hint)

    def bits(self, default: int) -> Name:
        """Return the integer type that the field `bits` states."""
        value = self.values.get("bits", self.values.get("num_bits", default))
        if value == 4:
            return "int4"
        if value == 8:
            return "int8"
        raise self.error("bits", f"found {found(value)}, needed 4 or 8")

    def count(self, field: str, default: int | None = None) -> int | None:
        """Return a whole number above 0; nothing where it is missing, or -1 for all."""
        value = self.values.get(field, default)
        if value is None or value == -1:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            problem = f"found {found(value)}, needed a whole number > 0"
            raise self.error(field, problem)
        return value

    def block(self, field: str, default: _Block) -> _Block:
        """Return the block that shares a scale."""
        value = self.values.get(field)
        if value is None:
            return default
        sizes = value if isinstance(value, list) and len(value) == 2 else []
        rows, columns = (size if isinstance(size, int) else 0 for size in sizes or (0, 0))
        if rows < 1 or columns < 1:
            problem = f"found {found(value)}, needed two whole numbers > 0"
            raise self.error(field, problem)
        return _Block(rows, columns)

    def part(self, field: str) -> _Part:
        """Return an object within this one."""
        value = self.values.get(field)
        if not isinstance(value, dict):
            problem = f"found {found(value)}, needed an object"
            raise self.error(field, problem)
        return _Part(self.config, f"{self.where}.{field}", value)


def _fine_grained_fp8(part: _Part) -> WeightFormat:
    """Return what transformers' FineGrainedFP8Config stores: 32-bit scales of blocks."""
    block = part.block("weight_block_size", _Block())
    return WeightFormat(
        name="fp8", block_rows=block.rows, block_columns=block.columns, scale_bits=32
    )


def _gptq(part: _Part) -> WeightFormat:
    """Return what GPTQ stores: a 16-bit scale and a packed zero point for each group of inputs."""
    name = part.bits(4)
    zero = 4 if name == "int4" else 8
    return WeightFormat(name=name, block_columns=part.count("group_size", 128), zero_bits=zero)


def _awq(part: _Part) -> WeightFormat:
    """Return what AWQ stores, which is laid out as GPTQ's."""
    return _gptq(part)


def _bitsandbytes(part: _Part) -> WeightFormat:
    """Return 8 bits with a 32-bit scale a row, or 4 bits with one for each 64 weights."""
    if part.values.get("load_in_8bit") is True:
        return WeightFormat(name="int8", scale_bits=32)
    scale_bits = 8 if part.values.get("bnb_4bit_use_double_quant") is True else 32
    return WeightFormat(name="int4", block_columns=64, scale_bits=scale_bits)


def _compressed_tensors(part: _Part) -> WeightFormat:
    """Return the one group of a compressed-tensors checkpoint, whose scales have 16 bits."""
    groups = part.part("config_groups")
    if len(groups.values) != 1:
        problem = f"found {len(groups.values)} groups, needed one that holds for all layers"
        raise part.error("config_groups", problem)
    weights = groups.part(next(iter(groups.values))).part("weights")
    is_float = weights.choice("type", ("int", "float"), "int") == "float"
    name: Name = "fp8" if is_float else weights.bits(8)
    strategies = ("tensor", "channel", "group", "block")
    strategy = weights.choice("strategy", strategies, "tensor")
    block = {
        "tensor": _Block(),
        "channel": _Block(1),
        "group": _Block(1, weights.count("group_size", 128)),
        "block": weights.block("block_structure", _Block(128, 128)),
    }[strategy]
    is_symmetric = weights.values.get("symmetric", True) is True
    zero = 0 if is_symmetric else 4 if name == "int4" else 8
    return WeightFormat(
        name=name, block_rows=block.rows, block_columns=block.columns, zero_bits=zero
    )


_READERS: Mapping[str, Callable[[_Part], WeightFormat]] = MappingProxyType(
    {
        "fp8": _fine_grained_fp8,
        "gptq": _gptq,
        "awq": _awq,
        "bitsandbytes": _bitsandbytes,
        "compressed-tensors": _compressed_tensors,
    }
)
