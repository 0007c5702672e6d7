"""The text of the field `model`, except for a model's numbers, which are read as a `Model`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, WithJsonSchema, create_model

from hexplan.catalog.weight_formats import find_format, known_formats
from hexplan.model import Dtype, KvDtype, Model, WeightFormat
from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Label, Tokens, mapping_or_value
from hexplan.wording import found, join_or

FormatName = Annotated[
    Label, WithJsonSchema({"type": "string", "examples": ["awq", "fp8", "nvfp4", "q4_k_m"]})
]
Weights = Annotated[
    Annotated[FormatName, Tag("<value>")] | Annotated[WeightFormat, Tag("<mapping>")],
    Discriminator(mapping_or_value),
]


def with_known_format(value: object) -> object:
    """Return a model in numbers, with the format of its weights in the place of its name."""
    if not isinstance(value, dict) or not isinstance(value.get("weights"), str):
        return value
    form = find_format(value["weights"])
    if form is None:
        message = f"weights: found {found(value['weights'])}, needed {join_or(known_formats())}"
        raise ValueError(message)
    return {**value, "weights": form}


Numbers = create_model(
    "Model",
    __base__=Model,
    __doc__=Model.__doc__,
    weights=(
        Weights | None,
        Field(None, description="How quantised weights are stored, or the name of a format."),
    ),
)
"""The form of a model in numbers for schemas, in which a format may be a name."""


class ChosenTypes(Text):
    """The types in which a model runs, if they are not its own."""

    dtype: Dtype | None = None
    """Type of activations, and of what is not quantised; the model's own, if left out."""
    weights: Weights | None = None
    """Quantised weights: a format such as `awq` or `q4_k_m`, or how its scales lie.

    If left out, a folder's own, else those of `dtype`. `int4` means a 16-bit scale and a 4-bit zero
    point for each 128 inputs, 4.16 bits a weight, as AWQ and GPTQ store; `int8` a 16-bit scale for
    each output channel; `fp8` 32-bit scales of blocks of 128 x 128."""
    kv_cache: KvDtype | None = None
    """Type of the KV cache: such as `fp8`; that of `dtype`, if left out."""


class NamedModel(ChosenTypes):
    """A model of the catalog."""

    name: Label
    """Its name in the catalog."""
    max_context: Tokens | None = None
    """The longest context in tokens, if it is not the model's own: for rope scaling."""


class FolderModel(ChosenTypes):
    """A model in a folder with a config.json."""

    path: Label
    """The folder; the path is relative to this file."""
