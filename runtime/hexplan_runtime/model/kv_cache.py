"""The KV cache of one rank: for each request, the keys and values of the layers it runs here.

Shapes: L layers, G KV heads of this rank, S positions, T new tokens, E head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan.field_types import Range


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one request holds."""

    first_layer: int
    keys_LGSE: Tensor
    values_LGSE: Tensor


class KvCache:
    """Memory for `kv_tokens` tokens of context, handed out by whole requests."""

    def __init__(self, kv_tokens: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> None:
        self._free_tokens = kv_tokens
        self._kv_heads, self._head_dim = kv_heads, head_dim
        self._dtype = dtype
        self._entries: dict[int, _Entry] = {}

    def open(self, request: int, layers: Range, tokens: int) -> None:
        """Reserve memory for so many tokens of a request in these layers; what it has is kept."""
        held = self._entries.get(request)
        held_tokens = held.keys_LGSE.shape[2] if held else 0
        if tokens <= held_tokens:
            return
        if tokens - held_tokens > self._free_tokens:
            message = f"KV cache: {tokens - held_tokens} tokens asked, {self._free_tokens} free"
            raise HexplanError(message)
        self._free_tokens -= tokens - held_tokens
        first, end = layers
        shape = 2, end - first, self._kv_heads, tokens, self._head_dim
        keys, values = torch.empty(shape, dtype=self._dtype)
        if held is not None:
            keys[:, :, :held_tokens], values[:, :, :held_tokens] = held.keys_LGSE, held.values_LGSE
        self._entries[request] = _Entry(first, keys, values)

    def close(self, request: int) -> None:
        """Free what a request holds; one that never came here holds nothing."""
        entry = self._entries.pop(request, None)
        if entry is not None:
            self._free_tokens += entry.keys_LGSE.shape[2]

    def append(
        self, request: int, layer: int, position: int, k_TGE: Tensor, v_TGE: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store the keys and values of new tokens, and return all so far: `[G, S, E]` each."""
        entry = self._entries[request]
        keys_GSE = entry.keys_LGSE[layer - entry.first_layer]
        values_GSE = entry.values_LGSE[layer - entry.first_layer]
        end = position + len(k_TGE)
        keys_GSE[:, position:end] = k_TGE.transpose(0, 1)
        values_GSE[:, position:end] = v_TGE.transpose(0, 1)
        return keys_GSE[:, :end], values_GSE[:, :end]
