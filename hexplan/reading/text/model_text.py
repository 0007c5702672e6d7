"""The text of the field `model`, except for a model's numbers, which are read as a `Model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from hexplan.model import Dtype, KvDtype, WeightFormat
from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Label, Tokens, mapping_or_value

WeightName = Literal["fp8", "int8", "int4"]
Weights = Annotated[
    Annotated[WeightName, Tag("<value>")] | Annotated[WeightFormat, Tag("<mapping>")],
    Discriminator(mapping_or_value),
]


class ChosenTypes(Text):
    """The types in which a model runs, if they are not its own."""

    dtype: Dtype | None = None
    """Type of activations, and of what is not quantised; the model's own, if left out."""
    weights: Weights | None = None
    """Quantised weights: `fp8`, `int8`, `int4`, or how their scales lie; else those of `dtype`."""
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
