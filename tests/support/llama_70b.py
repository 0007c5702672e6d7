"""Llama-2-70B in fp8 with the vocabulary of Llama 3, as reference evaluations count it."""

from __future__ import annotations

from hexplan.model import Model, WeightFormat

LLAMA_70B = Model(
    name="llama-70b",
    family="llama",
    layers=80,
    hidden=8192,
    heads=64,
    kv_heads=8,
    head_dim=128,
    ffn=28672,
    vocab=128256,
    dtype="bfloat16",
    weights=WeightFormat(name="fp8", block_rows=None),
    max_context=8192,
)
