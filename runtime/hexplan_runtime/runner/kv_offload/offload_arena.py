"""An arena whose later layers are in host memory, with bounds of their keys on the device.

Shapes: L layers in host memory, N pages of all requests, T tokens, G KV heads, E head width,
S slots, C channels' bounds: 2.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from hexplan.constants import PAGE_TOKENS
from hexplan.field_types import Range
from hexplan.techniques import KvOffload
from hexplan_runtime.model.free_slots import FreeSlots
from hexplan_runtime.model.kv_cache import Arena, KvShape, MakeArena, Store, store_of
from hexplan_runtime.runner.kv_offload.pages import pages_of


class OffloadArena(Arena):
    """Keys and values of which those of layers from `from_layer` on are in host memory."""

    def __init__(self, layers: Range, tokens: int, shape: KvShape, from_layer: int) -> None:
        self.from_layer = from_layer
        """The first layer in host memory."""
        super().__init__(layers, tokens, shape)
        self._table: dict[int, Tensor] = {}
        """Of each request the page of the pool that has the bounds of each of its pages."""
        self._pool = FreeSlots(0)
        self._bounds_CLGNE = self._blank(0)
        self._grow(pages_of((0, tokens))[1])

    def _allocate(self) -> tuple[Store, ...]:
        first, end = self.layers
        resident = store_of((first, self.from_layer), self.tokens, self.shape)
        with torch.device("cpu"):
            host = store_of((self.from_layer, end), self.tokens, self.shape)
        if resident[0].is_cuda:
            host = host[0].pin_memory(), host[1].pin_memory()
        return resident, host

    @property
    def bounds_bytes(self) -> int:
        """Bytes of the bounds of all pages."""
        return self._bounds_CLGNE.nbytes

    def extend(self, request: int, tokens: int) -> None:
        """Give the request that many slots more, and room for the bounds of what they hold."""
        super().extend(request, tokens)
        had = self._table.get(request, torch.empty(0, dtype=torch.int64))
        lacking = pages_of((0, self.place(request).tokens))[1] - len(had)
        if lacking > self._pool.count:
            self._grow(max(lacking, self._bounds_CLGNE.shape[3]))
        parts = [torch.arange(*part) for part in self._pool.take(lacking)]
        new_N = torch.cat(parts) if parts else had[:0]
        self._bounds_CLGNE[0][:, :, new_N] = torch.inf
        self._bounds_CLGNE[1][:, :, new_N] = -torch.inf
        self._table[request] = torch.cat([had, new_N])

    def close(self, request: int, stays: int = 0) -> None:
        """Free what a request holds but for its first tokens; it may hold nothing."""
        super().close(request, stays)
        table_P = self._table.pop(request, None)
        if table_P is None:
            return
        kept = pages_of((0, stays))[1] if self.holds(request) else 0
        self._pool.give_back([(page, page + 1) for page in table_P[kept:].tolist()])
        if kept:
            self._table[request] = table_P[:kept].clone()

    def copy(self, source: int, request: int, tokens: int) -> None:
        """Copy keys and values of the first tokens of one request to another."""
        super().copy(source, request, tokens)
        self._bound_again(request, tokens)

    def fetch(self, request: int) -> None:
        """Copy back what a request, which holds enough slots again, had stowed."""
        tokens = self._stowed[request][0].shape[2]
        super().fetch(request)
        self._bound_again(request, tokens)

    def pages(self, request: int) -> Tensor:
        """Return the page of the pool for each page of a request."""
        return self._table[request]

    def bound(self, layer: int, pages_T: Tensor, k_GTE: Tensor) -> None:
        """Widen the bounds of pages, so that they hold for a key more each."""
        low_GNE, high_GNE = self.bounds(layer)
        pages_GTE = pages_T[:, None].expand_as(k_GTE)
        low_GNE.scatter_reduce_(1, pages_GTE, k_GTE, "amin")
        high_GNE.scatter_reduce_(1, pages_GTE, k_GTE, "amax")

    def bounds(self, layer: int) -> Tensor:
        """Return the bounds of all pages in a layer: `[2, G, N, E]`, the least values first."""
        return self._bounds_CLGNE[:, layer - self.from_layer]

    def _bound_again(self, request: int, tokens: int) -> None:
        """Take the bounds of keys that came from elsewhere."""
        slots_T = self.place(request).slots[:tokens].cpu()
        pages_T = self.pages(request)[torch.arange(tokens) // PAGE_TOKENS]
        for layer in range(self.from_layer, self.layers[1]):
            keys_GSE, _ = self.layer(layer)
            k_GTE = keys_GSE.index_select(1, slots_T).to(pages_T.device)
            self.bound(layer, pages_T, k_GTE)

    def _grow(self, pages: int) -> None:
        """Add pages to the pool: a last page of a request may be nearly empty."""
        had = self._bounds_CLGNE.shape[3]
        self._bounds_CLGNE = torch.cat([self._bounds_CLGNE, self._blank(pages)], dim=3)
        self._pool.give_back([(had, had + pages)])

    def _blank(self, pages: int) -> Tensor:
        shape, layers = self.shape, self.layers[1] - self.from_layer
        return torch.zeros(2, layers, shape.kv_heads, pages, shape.head_dim, dtype=shape.dtype)


def make_arena(how: KvOffload | None) -> MakeArena:
    """Return what makes the arena of a stage that keeps keys and values in host memory, or not."""
    return Arena if how is None else partial(OffloadArena, from_layer=how.from_layer)
