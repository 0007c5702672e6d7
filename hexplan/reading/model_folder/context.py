"""The longest context of a config.json: stated, or extended by rope scaling."""

from __future__ import annotations

from collections.abc import Mapping

from hexplan.reading.model_folder.config import ModelConfig
from hexplan.wording import found

_EXTENDING = ("linear", "dynamic", "yarn", "llama3")
"""Kinds of rope scaling whose `factor` multiplies the context that the model was trained for.

A factor of x lets it handle x times its original maximum (transformers, docs of `rope_scaling`).
Other kinds (`default`, `longrope`, ...) state the extended context as `max_position_embeddings`.
"""
_STATED = "max_position_embeddings"
_ORIGINAL = "original_max_position_embeddings"
_MOST_TOKENS = 10**9
"""A longer context is a typing slip."""


def read_max_context(config: ModelConfig) -> int:
    """Return the longest context in tokens, with rope scaling as transformers means it.

    Configs differ in whether `max_position_embeddings` is the context before or after scaling, so
    the longer of it and the scaled context counts.

    Raises
    ------
    SpecError
        If a context or a factor is missing, or is not a number above 0.
    """
    stated = config.count(_STATED)
    # The old name wins where a config has both, as it does in transformers.
    name = "rope_scaling" if config.values.get("rope_scaling") else "rope_parameters"
    scaling = config.values.get(name)
    if not isinstance(scaling, dict):
        return stated
    by_layer_type = [part for part in scaling.values() if isinstance(part, dict)]
    return min(_extended(config, name, part, stated) for part in by_layer_type or [scaling])


def _extended(config: ModelConfig, name: str, scaling: Mapping[str, object], stated: int) -> int:
    if scaling.get("rope_type", scaling.get("type")) not in _EXTENDING:
        return stated
    factor = _number(config, f"{name}.factor", scaling.get("factor"))
    original = scaling.get(_ORIGINAL, config.values.get(_ORIGINAL))
    tokens = stated if original is None else _number(config, f"{name}.{_ORIGINAL}", original)
    return min(_MOST_TOKENS, max(stated, int(tokens * factor)))


def _number(config: ModelConfig, field: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < _MOST_TOKENS
    ):
        raise config.error(field, f"found {found(value)}, needed a number > 0")
    return value
