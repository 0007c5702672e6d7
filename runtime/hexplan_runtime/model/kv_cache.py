"""The KV cache of one rank: for each request, the keys and values of the layers it runs here.

Shapes: L layers, G KV heads of this rank, S positions, T new tokens, E head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hexplan.errors import HexplanError


@dataclass(frozen=True, slots=True)
class _Room:
    first_layer: int
    keys_LGSE: Tensor
    values_LGSE: Tensor


class KvCache:
    """Room for `kv_tokens` tokens of context, handed out by whole requests."""

    def __init__(self, kv_tokens: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> None:
        self._free_tokens = kv_tokens
        self._shape = kv_heads, head_dim
        self._dtype = dtype
        self._rooms: dict[int, _Room] = {}

    @property
    def free_tokens(self) -> int:
        """Tokens that no request holds."""
        return self._free_tokens

    def open(self, request: int, layers: tuple[int, int], tokens: int) -> None:
        """Give a request room for its tokens in layers `[first, end)`, if it has none yet."""
        if request in self._rooms:
            return
        if tokens > self._free_tokens:
            message = f"KV cache: {tokens} tokens asked, {self._free_tokens} free"
            raise HexplanError(message)
        self._free_tokens -= tokens
        first, end = layers
        heads, width = self._shape
        keys, values = torch.empty(2, end - first, heads, tokens, width, dtype=self._dtype)
        self._rooms[request] = _Room(first, keys, values)

    def close(self, request: int) -> None:
        """Free a request's room; a request that never came here has none."""
        room = self._rooms.pop(request, None)
        if room is not None:
            self._free_tokens += room.keys_LGSE.shape[2]

    def append(
        self, request: int, layer: int, position: int, kv_TGE: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Store the keys and values of new tokens, and return all so far: `[G, S, E]` each."""
        room = self._rooms[request]
        keys_GSE = room.keys_LGSE[layer - room.first_layer]
        values_GSE = room.values_LGSE[layer - room.first_layer]
        k_TGE, v_TGE = kv_TGE
        end = position + len(k_TGE)
        keys_GSE[:, position:end] = k_TGE.transpose(0, 1)
        values_GSE[:, position:end] = v_TGE.transpose(0, 1)
        return keys_GSE[:, :end], values_GSE[:, :end]
