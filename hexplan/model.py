"""The model: the sizes of a decoder-only transformer that planning needs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hexplan.field_types import Exact, Positive
from hexplan.frozen_model import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Mapping

Dtype = Literal["float32", "float16", "bfloat16"]
KvDtype = Literal["float32", "float16", "bfloat16", "fp8", "int8"]
Family = Literal[
    Literal["llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe"],
    Literal["cohere", "cohere2", "gemma", "gemma2", "gemma3_text", "gpt_neox", "granite"],
    Literal["olmo", "olmo2", "olmo3", "phi3", "smollm3", "starcoder2"],
]

DTYPE_BYTES: dict[Dtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
_KV_BYTES: dict[KvDtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2, "fp8": 1, "int8": 1}


class Experts(FrozenModel):
    """Parallel feed-forward networks of every layer, of which each token uses some."""

    total: Positive
    """Networks in a layer [E]."""
    active: Positive
    """Networks that each token uses [r]."""

    @model_validator(mode="after")
    def _some_are_active(self) -> Experts:
        if self.active > self.total:
            message = f"active ({self.active}) must be at most total ({self.total})"
            raise ValueError(message)
        return self


def _decimal(value: object) -> object:
    """Return a number of a file as a decimal with the digits that the file has."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(repr(value)) if is_number else value


Bits = Annotated[Exact, BeforeValidator(_decimal), Field(gt=0, le=64, decimal_places=6)]
NumberType = Literal["fp8", "fp4", "int8", "int6", "int5", "int4", "int3", "int2"]
Operand = Literal["fp8", "int8", "fp4"]

NUMBER_BITS: Mapping[NumberType, int] = MappingProxyType(
    {"fp8": 8, "fp4": 4, "int8": 8, "int6": 6, "int5": 5, "int4": 4, "int3": 3, "int2": 2}
)


class PartBits(FrozenModel):
    """Average bits of a stored weight in each part of a model, with scales and zero points."""

    attention: Bits
    """The projections of attention."""
    network: Bits
    """The feed-forward networks, experts included."""
    embedding: Bits
    """The embedding table; the same as `head` if that is the same table."""
    head: Bits
    """The output head."""


class WeightFormat(FrozenModel):
    """How quantised weights are stored.

    Router, norms and biases keep the model's dtype. So do the embedding and the output head, unless
    `average_bits` says otherwise.
    """

    name: NumberType
    """Type of a stored number."""
    block_rows: Positive | None = 1
    """Output channels that share a scale; null means all of them."""
    block_columns: Positive | None = None
    """Input channels that share a scale; null means all of them."""
    scale_bits: Positive = 16
    """Bits of a scale."""
    zero_bits: Annotated[int, Field(ge=0)] = 0
    """Bits of the zero point beside each scale; 0 if there is none."""
    average_bits: Annotated[PartBits | None, Field(exclude_if=lambda bits: bits is None)] = None
    """Average bits of each part, where parts are stored unlike; null if blocks tell the bytes."""
    operands: Annotated[Operand | None, Field(exclude_if=lambda operands: operands is None)] = None
    """Type in which matrices are multiplied, if not in 16 bits; fp8 weights always in fp8."""
    label: Annotated[str | None, Field(exclude_if=lambda label: label is None)] = None
    """What people call the format, such as `awq`; null if it is its `name`."""

    @property
    def bits(self) -> int:
        """Bits of one stored number."""
        return NUMBER_BITS[self.name]

    @property
    def bits_per_weight(self) -> Decimal:
        """Bits of a feed-forward weight, scales and zero points included; whole rows count 0."""
        if self.average_bits is not None:
            return self.average_bits.network
        if self.block_columns is None:
            return Decimal(self.bits)
        block = (self.block_rows or 1) * self.block_columns
        return self.bits + Decimal(self.scale_bits + self.zero_bits) / block

    @property
    def words(self) -> str:
        """The format in words, such as `awq weights of 4.156 bits`."""
        bits = f"{self.bits_per_weight:.3f}".rstrip("0").rstrip(".")
        return f"{self.label or self.name} weights of {bits} bits"

    @property
    def multiplied_in(self) -> Operand | None:
        """Type in which matrices are multiplied; None means the model's dtype."""
        return "fp8" if self.name == "fp8" else self.operands


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """What is so in every model of a family."""

    has_experts: bool = False
    qk_norm: bool = False
    """Whether each head's queries and keys are normalised."""
    qkv_bias: bool | None = None
    """Whether the query, key and value projections have biases; None if models differ."""
    is_gated: bool = True
    """Whether the feed-forward network has a gate."""

    def contradiction(self, model: Model) -> str:
        """Say what a model states that no model of the family has; an empty text if nothing."""
        stated = {
            "experts": (model.experts is not None, self.has_experts),
            "qk_norm": (model.qk_norm, self.qk_norm),
            "qkv_bias": (model.qkv_bias, self.qkv_bias),
            "gated": (model.gated, self.is_gated),
        }
        for field, (is_so, must_be) in stated.items():
            if must_be is not None and is_so != must_be:
                wanted, found = ("", "no ") if must_be else ("no ", "")
                return f"a {model.family} model with {found}{field}, needed {wanted}{field}"
        return ""


FAMILY_FACTS: Mapping[Family, FamilyFacts] = MappingProxyType(
    {
        "llama": FamilyFacts(),
        "mistral": FamilyFacts(qkv_bias=False),
        "qwen2": FamilyFacts(qkv_bias=True),
        "qwen3": FamilyFacts(qk_norm=True),
        "mixtral": FamilyFacts(has_experts=True, qkv_bias=False),
        "qwen3_moe": FamilyFacts(has_experts=True, qk_norm=True),
        "cohere": FamilyFacts(),
        "cohere2": FamilyFacts(),
        "gemma": FamilyFacts(),
        "gemma2": FamilyFacts(),
        "gemma3_text": FamilyFacts(qk_norm=True),
        "gpt_neox": FamilyFacts(is_gated=False),
        "granite": FamilyFacts(),
        "olmo": FamilyFacts(),
        "olmo2": FamilyFacts(),
        "olmo3": FamilyFacts(),
        "phi3": FamilyFacts(qkv_bias=False),
        "smollm3": FamilyFacts(),
        "starcoder2": FamilyFacts(is_gated=False),
    }
)
"""As the model classes of transformers build them; biases of attention may be a setting there."""


class Model(FrozenModel):
    """The sizes of a model; symbols in brackets are those of docs/formulation.md."""

    name: str
    """A name from the catalog, or the folder's name."""
    family: Family
    """Which architecture; it decides biases, norms and the names of weights."""
    layers: Positive
    """Decoder layers [L]."""
    hidden: Positive
    """Width of the residual stream [h]."""
    heads: Positive
    """Query heads of a layer [H]."""
    kv_heads: Positive
    """Key/value heads of a layer [G]; each serves `heads / kv_heads` query heads."""
    head_dim: Positive
    """Width of one head [e]."""
    ffn: Positive
    """Channels of the feed-forward network, or of each expert [f]."""
    vocab: Positive
    """Rows of the embedding table [V]."""
    tied_embeddings: bool = False
    """Whether the output head is the embedding table."""
    qkv_bias: bool = False
    """Whether the query, key and value projections have biases."""
    out_bias: bool = False
    """Whether the attention's output projection has a bias."""
    ffn_bias: bool = False
    """Whether the feed-forward projections have biases."""
    qk_norm: bool = False
    """Whether each head's queries and keys are normalised, with weights that heads share."""
    gated: Annotated[bool, Field(exclude_if=lambda is_gated: is_gated)] = True
    """Whether the feed-forward network has a gate, and so three matrices instead of two."""
    norm_weights: Annotated[int | None, Field(ge=0, exclude_if=lambda count: count is None)] = None
    """Weights in the norms of a layer, apart from `qk_norm`; null means two norms of `hidden`."""
    experts: Experts | None = None
    """The experts of every layer; null for one feed-forward network."""
    dtype: Dtype
    """Type of activations, and of weights and KV cache unless the fields below say otherwise."""
    weights: WeightFormat | None = None
    """How quantised weights are stored; null if weights have the type `dtype`."""
    kv_dtype: KvDtype | None = None
    """Type of the KV cache; null means that of `dtype`."""
    max_context: Positive
    """The longest context that the model supports, in tokens."""
    path: str | None = None
    """The folder with the weights; null for a model known only by its sizes."""
    config_sha256: str | None = None
    """Hash of the folder's config.json, so that a launch notices a change."""
    given: Annotated[tuple[str, ...], Field(exclude_if=lambda fields: not fields)] = ()
    """Fields that differ from the catalog's model of this name; hexplan fills them in."""

    @model_validator(mode="after")
    def _heads_form_groups(self) -> Model:
        if self.heads % self.kv_heads:
            message = f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_table_has_one_size(self) -> Model:
        stored = self.weights.average_bits if self.weights else None
        if self.tied_embeddings and stored is not None and stored.embedding != stored.head:
            message = (
                f"average_bits: embedding ({stored.embedding}) and head ({stored.head})"
                " must be equal, as tied embeddings are one table"
            )
            raise ValueError(message)
        return self

    @property
    def dtype_bytes(self) -> int:
        """Bytes of one activation, or of a weight that is not quantised [b]."""
        return DTYPE_BYTES[self.dtype]

    @property
    def kv_bytes(self) -> int:
        """Bytes of one element of the KV cache [b_kv]."""
        return _KV_BYTES[self.kv_dtype or self.dtype]

    @property
    def group(self) -> int:
        """Query heads served by one KV head [H / G]."""
        return self.heads // self.kv_heads

    def as_held_by(self, n: int) -> Model:
        """Return the model with a copy of a KV head for each of n devices, if these are more.

        Unchanged otherwise, and where the KV heads do not divide their number, or that the heads.
        """
        is_shared = n > self.kv_heads and n % self.kv_heads == 0 == self.heads % n
        return _with_kv_heads(self, n) if is_shared else self

    @property
    def network_matrices(self) -> int:
        """Matrices of one feed-forward network: gate, up and down, or the last two [m]."""
        return 3 if self.gated else 2

    @property
    def norms(self) -> int:
        """Weights in the norms of a layer, apart from those of queries and keys [n]."""
        return 2 * self.hidden if self.norm_weights is None else self.norm_weights

    @property
    def active_experts(self) -> int:
        """Feed-forward networks that each token uses; 1 without experts [r]."""
        return self.experts.active if self.experts else 1


@lru_cache(maxsize=256)
def _with_kv_heads(model: Model, kv_heads: int) -> Model:
    return model.model_copy(update={"kv_heads": kv_heads})


_CHOSEN = ("name", "dtype", "weights", "kv_dtype", "path", "config_sha256", "given")
"""What a cluster file chooses for a model of the catalog, and what says where the model is."""


def differing_facts(model: Model, listed: Model) -> tuple[str, ...]:
    """Return the fields in which a model is not what the catalog lists, types left out."""
    fields = (field for field in Model.model_fields if field not in _CHOSEN)
    return tuple(field for field in fields if getattr(model, field) != getattr(listed, field))
