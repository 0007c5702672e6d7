"""What to do about the name of a model that is not in the catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from hexplan.catalog.shipped import close_models, find_model
from hexplan.wording import join_or

_NUMBERS = "`hexplan schema model` shows the numbers that describe a new one"
_DOWNLOAD = "give the folder that the model was downloaded to, as hexplan downloads nothing"
_SUFFIX_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "awq": "awq",
        "gptq-int4": "gptq",
        "gptq-int8": "gptq-int8",
        "gptq": "gptq",
        "gguf": "q4_k_m",
        "fp8": "fp8",
        "fp8-dynamic": "fp8-channel",
        "nvfp4": "nvfp4",
        "fp4": "nvfp4",
        "mxfp4": "mxfp4",
        "bnb-4bit": "bnb-4bit",
        "unsloth-bnb-4bit": "bnb-4bit-double",
        "quantized.w4a16": "w4a16",
        "w4a16": "w4a16",
        "quantized.w8a8": "w8a8",
        "w8a8": "w8a8",
        "4bit": "mlx-4bit",
        "8bit": "mlx-8bit",
    }
)
"""The format that the end of a name on Hugging Face stands for."""
_TUNED = re.compile(r"-(?:instruct|chat|it|hf|base)(?=-|$)")


def model_hint(name: str) -> str:
    """Return a hint: a model of the catalog with a format, close names, or how to describe it."""
    owner, _, short = name.rpartition("/")
    base, form = _without_format(short.casefold())
    for known in (base, f"{owner}/{base}", _TUNED.sub("", base).removeprefix("meta-")):
        model = find_model(known)
        if model is not None and form is not None:
            return f"write `model: {{name: {model.name}, weights: {form}}}`"
        if model is not None:
            return f"write `model: {model.name}` if it has the same sizes and context"
    close = close_models(_TUNED.sub("", base))
    if close:
        return f"did you mean {join_or(close)}?" + (f" If not, {_DOWNLOAD}" if owner else "")
    return f"{_DOWNLOAD}; {_NUMBERS}" if owner else _NUMBERS


def _without_format(name: str) -> tuple[str, str | None]:
    """Split the format that a name ends with from the rest, if there is one."""
    for suffix in sorted(_SUFFIX_FORMATS, key=len, reverse=True):
        if name.endswith(f"-{suffix}"):
            return name.removesuffix(f"-{suffix}"), _SUFFIX_FORMATS[suffix]
    return name, None
