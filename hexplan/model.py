"""The model: the sizes of a decoder-only transformer, as far as planning needs them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hexplan.noun import Noun

Dtype = Literal["float32", "float16", "bfloat16"]
Family = Literal["llama", "mistral", "qwen2", "qwen3"]
Count = Annotated[int, Field(gt=0)]

DTYPE_BYTES: dict[Dtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2}


class Model(Noun):
    """The sizes of a model; symbols in brackets are those of docs/formulation.md."""

    name: str
    """A name from the catalog, or the folder's name."""
    family: Family
    """Which architecture; it decides biases, norms and the names of weights."""
    layers: Count
    """Decoder layers [L]."""
    hidden: Count
    """Width of the residual stream [h]."""
    heads: Count
    """Query heads of a layer [H]."""
    kv_heads: Count
    """Key/value heads of a layer [G]; each serves `heads / kv_heads` query heads."""
    head_dim: Count
    """Width of one head [e]."""
    ffn: Count
    """Channels of the gated feed-forward network [f]."""
    vocab: Count
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
    """Whether each head's queries and keys are normalised."""
    dtype: Dtype
    """Type of weights, activations and KV cache when the plan runs."""
    max_context: Count
    """Positions that the model was made for, in tokens."""
    path: str | None = None
    """The folder with the weights, or nothing for a model known by its sizes only."""
    config_sha256: str | None = None
    """Hash of the folder's config.json, so that a launch sees a change."""

    @model_validator(mode="after")
    def _heads_form_groups(self) -> Model:
        if self.heads % self.kv_heads:
            message = f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})"
            raise ValueError(message)
        return self

    @property
    def dtype_bytes(self) -> int:
        """Bytes of one weight, activation or KV element [b]."""
        return DTYPE_BYTES[self.dtype]

    @property
    def group(self) -> int:
        """Query heads served by one KV head [H / G]."""
        return self.heads // self.kv_heads
