"""The model of a cluster.yaml: from the catalog, from a folder, or from the numbers given."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hexplan.catalog.shipped import find_model
from hexplan.catalog.weight_formats import find_format, known_formats
from hexplan.errors import InputError
from hexplan.model import FAMILY_FACTS, Model, WeightFormat, differing_facts
from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.reading.model_hints import model_hint
from hexplan.reading.text.model_text import ChosenTypes, FolderModel, NamedModel
from hexplan.wording import close_names, found, join_or

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.model import Dtype
    from hexplan.reading.locate import Locator

_LARGEST: Mapping[str, int] = MappingProxyType(
    {
        "layers": 1_000,
        "hidden": 1_000_000,
        "heads": 10_000,
        "kv_heads": 10_000,
        "head_dim": 10_000,
        "ffn": 10_000_000,
        "vocab": 100_000_000,
        "max_context": 1_000_000_000,
    }
)
"""Sizes beyond those of any model; larger ones are typing slips, and would keep a search busy."""


def read_model(text: str | NamedModel | FolderModel | Model, folder: Path, at: Locator) -> Model:
    """Return the sizes of the model; `folder` is that of the file."""
    if isinstance(text, Model):
        model = text
    elif isinstance(text, NamedModel):
        model = _with_types(_listed(text.name, folder, at), text, at)
        if text.max_context is not None:
            model = model.model_copy(update={"max_context": text.max_context})
    elif isinstance(text, FolderModel):
        model = _with_types(_from_folder(folder / text.path, text.dtype, at), text, at)
    else:
        model = find_model(text) or _from_name(text, folder, at)
    # Numbers written by hand may stand for a model of another family.
    by_hand = isinstance(text, Model)
    problem = "" if by_hand else FAMILY_FACTS[model.family].contradiction(model)
    if problem:
        raise at.error(("model", "family"), f"found {problem}")
    listed = find_model(model.name) if model.path is None else None
    given = () if listed is None else differing_facts(model, listed)
    model = model.model_copy(update={"given": given})
    for field, largest in _LARGEST.items():
        if getattr(model, field) > largest:
            problem = f"found {field} {getattr(model, field)}, needed at most {largest}"
            raise at.error(("model", field), problem)
    return model


def _from_name(name: str, folder: Path, at: Locator) -> Model:
    """Return the model of the folder with this name, as the catalog has none."""
    try:
        has_folder = (folder / name).exists()
    except OSError:  # such as a name that is too long
        has_folder = False
    is_path = has_folder or name.startswith(("/", "./", "../", "~"))
    return _from_folder(folder / name, None, at) if is_path else _listed(name, folder, at)


def _listed(name: str, folder: Path, at: Locator) -> Model:
    model = find_model(name)
    if model is None:
        problem = f"found {found(name)}, needed a model of the catalog, or a folder in {folder}"
        raise at.error(("model",), problem, hint=model_hint(name))
    return model


def _from_folder(folder: Path, dtype: Dtype | None, at: Locator) -> Model:
    try:
        return read_model_folder(folder, dtype)
    except InputError as error:
        raise at.error(("model",), error.message, hint=error.hint) from error
    except OSError as error:
        raise at.error(("model",), f"cannot read the folder: {error.strerror}") from error


def _with_types(model: Model, text: ChosenTypes, at: Locator) -> Model:
    """Return the model with the types that the file chooses."""
    weights = _format(text.weights, at) if isinstance(text.weights, str) else text.weights
    if weights is not None and weights.average_bits is not None and model.tied_embeddings:
        # One table is both, and GGUF stores it with the bits of an output head.
        stored = weights.average_bits
        tied = stored.model_copy(update={"embedding": stored.head})
        weights = weights.model_copy(update={"average_bits": tied})
    chosen = {"dtype": text.dtype, "weights": weights, "kv_dtype": text.kv_cache}
    return model.model_copy(update={field: value for field, value in chosen.items() if value})


def _format(name: str, at: Locator) -> WeightFormat:
    known = find_format(name)
    if known is None:
        close = close_names(name, known_formats())
        meant = f"did you mean {join_or(close)}? If not, " if close else ""
        problem = f"found {found(name)}, needed a format of weights: {join_or(known_formats())}"
        hint = f"{meant}describe it: `{{name: int4, block_columns: 64, scale_bits: 16}}`"
        raise at.error(("model", "weights"), problem, hint=hint)
    return known
