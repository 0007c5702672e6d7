"""How a config says that weights are quantised: in which formats, and which modules are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hexplan.model import WeightFormat
from hexplan.reading.model_folder.compressed import compressed_tensors, kv_dtype_of
from hexplan.reading.model_folder.config import ModelConfig
from hexplan.reading.model_folder.groups import Group, Quantisation
from hexplan.reading.model_folder.modelopt import modelopt
from hexplan.reading.model_folder.part import UNQUANTISED, Block, ConfigPart
from hexplan.reading.model_folder.patterns import (
    ModuleList,
    of_regexes,
    of_transformers,
)
from hexplan.wording import found

FIELD = "quantization_config"


def read_quantisation(config: ModelConfig) -> Quantisation | None:
    """Return how weights are quantised, by `quantization_config`; nothing if they are not.

    Raises
    ------
    SpecError
        If they are quantised in a way that is not known here.
    """
    stated = config.values.get(FIELD)
    if stated is None and config.values.get("compression_config") is not None:
        raise config.error("compression_config", f"found it, needed `{FIELD}`", UNQUANTISED)
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise config.error(FIELD, f"found {found(stated)}, needed an object")
    part = ConfigPart(config, FIELD, stated)
    return _READERS[part.choice("quant_method", tuple(_READERS))](part)


def _whole(form: WeightFormat, skipped: ModuleList) -> Quantisation:
    """Return one format for all modules of the layers but those that are skipped.

    These methods leave the output head alone.
    """
    return Quantisation((Group(form),), (skipped, of_transformers(["lm_head"])))


def _listed(part: ConfigPart) -> ModuleList:
    field = "ignored_layers" if "ignored_layers" in part.values else "modules_to_not_convert"
    return part.modules(field, of_transformers)


def _fine_grained_fp8(part: ConfigPart) -> Quantisation:
    """Read what transformers' FineGrainedFP8Config stores: 32-bit scales of blocks."""
    block = part.block("weight_block_size", Block())
    form = WeightFormat(
        name="fp8", block_rows=block.rows, block_columns=block.columns, scale_bits=32
    )
    return _whole(form, _listed(part))


def _fbgemm_fp8(part: ConfigPart) -> Quantisation:
    """Read what FBGEMM stores: a 32-bit scale for each output channel."""
    return _whole(WeightFormat(name="fp8", scale_bits=32), _listed(part))


def _gptq(part: ConfigPart) -> Quantisation:
    """Read what GPTQ stores: a 16-bit scale and a packed zero point for each group of inputs."""
    form = _packed(part)
    dynamic = part.values.get("dynamic")
    if isinstance(dynamic, dict) and any(not str(key).startswith("-:") for key in dynamic):
        problem = "found other bits for some modules, needed the same for all"
        raise part.error("dynamic", problem, UNQUANTISED)
    keys = [str(key).removeprefix("-:") for key in dynamic] if isinstance(dynamic, dict) else []
    inside = ConfigPart(part.config, part.where, {"dynamic": keys})
    skipped = [inside.modules("dynamic", of_regexes)]
    if part.values.get("lm_head") is not True:
        skipped.append(of_transformers(["lm_head"]))
    return Quantisation((Group(form, _chosen(part).has),), tuple(skipped))


def _chosen(part: ConfigPart) -> ModuleList:
    """Return the modules that GPTQ quantises: those that it lists in turns, or all."""
    field = "modules_in_block_to_quantize"
    turns = part.values.get(field)
    if not isinstance(turns, list):
        return of_transformers([""])
    names = [name for turn in turns for name in (turn if isinstance(turn, list) else [turn])]
    return ConfigPart(part.config, part.where, {field: names}).modules(field, of_transformers)


def _awq(part: ConfigPart) -> Quantisation:
    """Read what AWQ stores, which is laid out as GPTQ's."""
    return _whole(_packed(part), _listed(part))


def _packed(part: ConfigPart) -> WeightFormat:
    field = "w_bit" if "w_bit" in part.values else "bits"
    size = "q_group_size" if "q_group_size" in part.values else "group_size"
    form = WeightFormat(name=part.integer(field, 4), block_columns=part.count(size, 128))
    return form.model_copy(update={"zero_bits": form.bits})


def _bitsandbytes(part: ConfigPart) -> Quantisation:
    """Read 8 bits with a 32-bit scale a row, or 4 bits with one for each 64 weights."""
    skipped = part.modules("llm_int8_skip_modules", of_transformers)
    if part.values.get("load_in_8bit") is True:
        return _whole(WeightFormat(name="int8", scale_bits=32), skipped)
    scale_bits = 8 if part.values.get("bnb_4bit_use_double_quant") is True else 32
    return _whole(WeightFormat(name="int4", block_columns=64, scale_bits=scale_bits), skipped)


def _hqq(part: ConfigPart) -> Quantisation:
    """Read what HQQ stores: a 16-bit scale and a 16-bit zero point for each group."""
    inside = part.part("quant_config").part("weight_quant_params")
    form = WeightFormat(
        name=inside.integer("nbits", 4),
        block_columns=inside.count("group_size", 64),
        zero_bits=16,
    )
    return _whole(form, part.modules("skip_modules", of_transformers))


def _mxfp4(part: ConfigPart) -> Quantisation:
    """Read MXFP4, in which only experts are stored: 8-bit scales of groups of 32."""
    form = WeightFormat(name="fp4", block_columns=32, scale_bits=8)
    quantised = _whole(form, _listed(part))
    return Quantisation(quantised.groups, (*quantised.skipped, of_regexes([r".*\.self_attn\."])))


def _modelopt(part: ConfigPart) -> Quantisation:
    quantised = modelopt(part)
    kv_dtype = quantised.kv_dtype or kv_dtype_of(part)
    return Quantisation(quantised.groups, quantised.skipped, kv_dtype)


_READERS: Mapping[str, Callable[[ConfigPart], Quantisation]] = MappingProxyType(
    {
        "fp8": _fine_grained_fp8,
        "gptq": _gptq,
        "awq": _awq,
        "bitsandbytes": _bitsandbytes,
        "compressed-tensors": compressed_tensors,
        "fbgemm_fp8": _fbgemm_fp8,
        "hqq": _hqq,
        "modelopt": _modelopt,
        "modelopt_fp4": _modelopt,
        "mxfp4": _mxfp4,
    }
)
