"""The formats in which a folder stores its weights, and of the KV cache that it is made for."""

from __future__ import annotations

from pathlib import Path

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded
from hexplan.files.json_reader import parse_json
from hexplan.model import Model
from hexplan.reading.model_folder.config import ModelConfig
from hexplan.reading.model_folder.groups import Quantisation
from hexplan.reading.model_folder.headers import read_tensors
from hexplan.reading.model_folder.modelopt import modelopt
from hexplan.reading.model_folder.part import ConfigPart
from hexplan.reading.model_folder.quantisation import FIELD, read_quantisation
from hexplan.reading.model_folder.stored import stored_format
from hexplan.reading.model_folder.tying import has_own_head

MODELOPT_NAME = "hf_quant_config.json"
MAX_MODELOPT_BYTES = 16 << 20
"""The largest hf_quant_config.json that is read; it may list all modules."""


def read_formats(config: ModelConfig, model: Model) -> Model:
    """Return a model with the formats of its folder's weights and KV cache.

    Where the weights are there, the headers of their files count, and the config only names the
    format. A head of its own that the files hold counts, too, whatever the config says of it.

    Raises
    ------
    SpecError
        If the config states a quantisation that is not known, and no weights are there to measure.
    """
    tensors = read_tensors(config.file.parent)
    if model.tied_embeddings and has_own_head(tensors or {}):
        model = model.model_copy(update={"tied_embeddings": False})
    stored = stored_format(tensors, model, None) if tensors else None
    try:
        stated = _stated(config)
    except SpecError:
        if stored is None:
            raise
        stated = None
    if stated is None:
        return model.model_copy(update={"weights": stored})
    form = stated.weight_format(model)
    if stored is not None and form is not None and tensors:
        stored = stored_format(tensors, model, form)
    update = {"weights": stored or form, "kv_dtype": stated.kv_dtype}
    return model.model_copy(update=update)


def _stated(config: ModelConfig) -> Quantisation | None:
    """Return the quantisation that config.json states, or else ModelOpt's file beside it."""
    stated = read_quantisation(config)
    file = config.file.parent / MODELOPT_NAME
    if stated is not None or config.values.get(FIELD) is not None or not file.is_file():
        return stated
    part = _modelopt_part(file)
    return modelopt(part.part("quantization"))


def _modelopt_part(file: Path) -> ConfigPart:
    text = read_bounded(file, MAX_MODELOPT_BYTES)
    try:
        values = parse_json(text, str(file))
    except SpecError as error:  # not quoted: a cluster.yaml can name any folder
        problem = f"this is not a quantisation by ModelOpt: {error.needed}"
        raise SpecError(error.where, problem) from error
    if not isinstance(values, dict):
        raise SpecError(str(file), "needed an object with a quantisation by ModelOpt")
    return ConfigPart(ModelConfig(file, values, ""), "", values)
