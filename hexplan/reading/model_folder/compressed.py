"""The quantisation of compressed-tensors checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.model import KvDtype, NumberType, Operand, WeightFormat
from hexplan.reading.model_folder.groups import Group, Quantisation
from hexplan.reading.model_folder.part import UNQUANTISED, Block, ConfigPart
from hexplan.reading.model_folder.patterns import of_compressed_tensors
from hexplan.wording import found

_SCHEME = "kv_cache_scheme"
_SCALE_BITS: Mapping[str, int] = MappingProxyType(
    {"float8_e4m3fn": 8, "uint8": 8, "float16": 16, "bfloat16": 16, "float32": 32}
)


def compressed_tensors(part: ConfigPart) -> Quantisation:
    """Read the groups of a compressed-tensors checkpoint, and the modules that it ignores."""
    groups = part.part("config_groups")
    if not groups.values:
        raise part.error("config_groups", "found no groups, needed one or more")
    found_groups = tuple(_group(groups.part(name)) for name in groups.values)
    return Quantisation(
        found_groups, (part.modules("ignore", of_compressed_tensors),), kv_dtype_of(part)
    )


def kv_dtype_of(part: ConfigPart) -> KvDtype | None:
    """Return the type of the KV cache that a `kv_cache_scheme` states; nothing without one."""
    if part.values.get(_SCHEME) is None:
        return None
    scheme = part.part(_SCHEME)
    bits, kind = scheme.values.get("num_bits", 8), scheme.values.get("type", "float")
    if bits != 8 or kind not in ("float", "int"):
        problem = f"found {found(bits)} bits of type {found(kind)}, needed 8 of `float` or `int`"
        raise scheme.error("num_bits", problem, UNQUANTISED)
    return "fp8" if kind == "float" else "int8"


def _group(part: ConfigPart) -> Group:
    form = _format(part)
    if "targets" not in part.values:
        return Group(form)
    return Group(form, part.modules("targets", of_compressed_tensors).has)


def _format(part: ConfigPart) -> WeightFormat:
    weights = part.part("weights")
    is_float = weights.choice("type", ("int", "float"), "int") == "float"
    name: NumberType = _float(weights) if is_float else weights.integer("num_bits", 8)
    strategies = ("tensor", "channel", "group", "block", "tensor_group")
    strategy = weights.choice("strategy", strategies, "tensor")
    size = weights.count("group_size", 16 if strategy == "tensor_group" else 128)
    block = {
        "tensor": Block(),
        "channel": Block(1),
        "group": Block(1, size),
        "tensor_group": Block(1, size),
        "block": weights.block("block_structure", Block(128, 128)),
    }[strategy]
    is_symmetric = weights.values.get("symmetric", True) is True
    form = WeightFormat(
        name=name,
        block_rows=block.rows,
        block_columns=block.columns,
        scale_bits=_scale_bits(weights, name),
        operands=_operands(part, name),
    )
    return form if is_symmetric else form.model_copy(update={"zero_bits": form.bits})


def _float(weights: ConfigPart) -> NumberType:
    bits = weights.values.get("num_bits", 8)
    if bits == 8:
        return "fp8"
    if bits == 4:
        return "fp4"
    raise weights.error("num_bits", f"found {found(bits)}, needed 4 or 8", UNQUANTISED)


def _scale_bits(weights: ConfigPart, name: NumberType) -> int:
    """Return the bits of a scale: as stated, else 8 for MXFP4 and NVFP4, and 16 for others."""
    stated = weights.values.get("scale_dtype")
    if isinstance(stated, str):
        return _SCALE_BITS.get(stated.removeprefix("torch."), 16)
    return 8 if name == "fp4" else 16


def _operands(part: ConfigPart, name: NumberType) -> Operand | None:
    """Return the type of the activations, if they are quantised as the weights are."""
    stated = part.values.get("input_activations")
    if not isinstance(stated, dict):
        return None
    kinds: Mapping[tuple[object, object], Operand] = {
        ("int", 8): "int8",
        ("float", 8): "fp8",
        ("float", 4): "fp4",
    }
    operands = kinds.get((stated.get("type", "int"), stated.get("num_bits", 8)))
    return None if operands == name == "fp8" else operands
