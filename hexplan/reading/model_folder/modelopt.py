"""The quantisation of NVIDIA ModelOpt checkpoints, of which some say so in a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.model import KvDtype, WeightFormat
from hexplan.reading.model_folder.groups import Group, Quantisation
from hexplan.reading.model_folder.part import UNQUANTISED, ConfigPart
from hexplan.reading.model_folder.patterns import of_wildcards
from hexplan.wording import found, join_or

_FP8 = WeightFormat(name="fp8", block_rows=None, scale_bits=32)
_INT4 = WeightFormat(name="int4", block_columns=128)
_INT8 = WeightFormat(name="int8")
_MXFP4 = WeightFormat(name="fp4", block_columns=32, scale_bits=8)
_NVFP4 = WeightFormat(name="fp4", block_columns=16, scale_bits=8, operands="fp4")
_FORMATS: Mapping[str, WeightFormat] = MappingProxyType(
    {
        "FP8": _FP8,
        "FP8_PER_CHANNEL_PER_TOKEN": WeightFormat(name="fp8", scale_bits=32),
        "FP8_PB_WO": WeightFormat(name="fp8", block_rows=128, block_columns=128, scale_bits=32),
        "NVFP4": _NVFP4,
        "NVFP4_AWQ": _NVFP4,
        "W4A16_NVFP4": _NVFP4.model_copy(update={"operands": None}),
        "W4A16_AWQ": _INT4,
        "W4A8_AWQ": _INT4.model_copy(update={"operands": "fp8"}),
        "W8A16": _INT8,
        "W8A8_SQ_PER_CHANNEL": _INT8.model_copy(update={"operands": "int8"}),
        "INT8_SQ": _INT8.model_copy(update={"operands": "int8"}),
        "W4A16_MXFP4": _MXFP4,
        "W4A8_MXFP4_FP8": _MXFP4.model_copy(update={"operands": "fp8"}),
    }
)
_MIXED = "MIXED_PRECISION"
_PLAIN = (None, "UNQUANTIZED")
"""What layers of a mixture state that keep their type."""
_KV: Mapping[object, KvDtype] = MappingProxyType({"FP8": "fp8", "INT8": "int8", "NVFP4": "fp8"})
"""NVFP4 caches are planned in 8 bits, which is on the safe side."""


def modelopt(part: ConfigPart) -> Quantisation:
    """Read ModelOpt's object, from config.json or from hf_quant_config.json."""
    field = "exclude_modules" if "exclude_modules" in part.values else "ignore"
    skipped = part.modules(field, of_wildcards)
    cache = part.values.get("kv_cache_quant_algo")
    kv_dtype = _KV.get(cache) if isinstance(cache, str) else None
    if _algorithm(part) == _MIXED:
        return Quantisation(_mixed(part.part("quantized_layers")), (skipped,), kv_dtype)
    return Quantisation((Group(_format(part)),), (skipped,), kv_dtype)


def _mixed(layers: ConfigPart) -> tuple[Group, ...]:
    """Return the modules of each format; a module stands for all inside it, such as experts."""
    names: dict[WeightFormat, list[str]] = {}
    for name in layers.values:
        layer = layers.part(name)
        if _algorithm(layer) not in _PLAIN:
            names.setdefault(_format(layer), []).append(name)
    return tuple(Group(form, of_wildcards(group).has) for form, group in names.items())


def _algorithm(part: ConfigPart) -> object:
    """Return the name of an algorithm, whose case differs between versions of ModelOpt."""
    stated = part.values.get("quant_algo")
    return stated.upper() if isinstance(stated, str) else stated


def _format(part: ConfigPart) -> WeightFormat:
    algorithm = _algorithm(part)
    form = _FORMATS.get(algorithm) if isinstance(algorithm, str) else None
    if form is None:
        problem = f"found {found(part.values.get('quant_algo'))}, needed {join_or(_FORMATS)}"
        raise part.error("quant_algo", problem, UNQUANTISED)
    size = part.count("group_size")
    if size is None or form.name not in ("int4", "fp4"):
        return form
    return form.model_copy(update={"block_columns": size})
