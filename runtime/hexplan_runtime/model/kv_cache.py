"""The KV cache of one rank: arenas of token slots, of which each request holds some.

Layers where a route enters the stage begin a new block, and each block has an arena of its own.
A request that enters inside the stage therefore holds slots of the layers that it runs, only.

Shapes: L layers of a block, G KV heads of this rank, S slots, T new tokens, E head width.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import torch
from torch import Tensor

from hexplan.errors import HexplanError, InputError
from hexplan.field_types import Range
from hexplan_runtime.model.free_slots import FreeSlots

_MAP_NORESERVE: Final = 0x4000 if sys.platform == "linux" else 0
"""Not every Python names it."""


@dataclass(frozen=True, slots=True)
class KvShape:
    """What one token holds in one layer: a key and a value for each KV head of this rank."""

    kv_heads: int
    head_dim: int
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request's tokens stand in an arena: position p has slot `slots[p]`."""

    ranges: tuple[Range, ...]
    slots: Tensor

    @property
    def start(self) -> int | None:
        """Return the slot of position 0 if the others follow it without a gap."""
        return self.ranges[0][0] if len(self.ranges) == 1 else None

    @property
    def tokens(self) -> int:
        """Number of its slots."""
        return len(self.slots)


class Arena:
    """Keys and values of a block of layers, in memory that is allocated once."""

    def __init__(self, layers: Range, tokens: int, shape: KvShape) -> None:
        first, end = layers
        self.layers = layers
        """The block, `[first, end)`."""
        self.tokens = tokens
        """Number of slots."""
        self.shape = shape
        self._stores = self._allocate()
        """Keys and values `[L, G, S, E]` of layers that follow each other."""
        self._free = FreeSlots(tokens)
        self._places: dict[int, Place] = {}
        self._stowed: dict[int, tuple[Tensor, ...]] = {}
        """Keys and values in host memory, of requests that made way."""

    def _allocate(self) -> tuple[Store, ...]:
        """Return memory for all layers."""
        return (store_of(self.layers, self.tokens, self.shape),)

    @property
    def num_bytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(x_LGSE.nbytes for x_LGSE in self._tensors())

    @property
    def free(self) -> int:
        """Number of free slots."""
        return self._free.count

    def holds(self, request: int) -> bool:
        """Say whether a request holds slots here."""
        return request in self._places

    def missing(self, request: int, tokens: int) -> int:
        """Return how many slots the request still lacks to hold so many tokens."""
        place = self._places.get(request)
        return max(0, tokens - (place.tokens if place else 0))

    def extend(self, request: int, tokens: int) -> None:
        """Give the request that many slots more."""
        place = self._places.get(request)
        ranges = _joined((*(place.ranges if place else ()), *self._free.take(tokens)))
        slots = torch.cat([torch.arange(*part) for part in ranges])
        self._places[request] = Place(ranges, slots)

    def close(self, request: int, stays: int = 0) -> None:
        """Free what a request holds but for its first tokens; it may hold nothing."""
        place = self._places.pop(request, None)
        if place is None:
            return
        kept, freed = _cut(place.ranges, stays)
        self._free.give_back(freed)
        if kept:
            self._places[request] = Place(kept, place.slots[:stays].clone())

    def copy(self, source: int, request: int, tokens: int) -> None:
        """Copy keys and values of the first tokens of one request to another."""
        slots_T = self._places[source].slots[:tokens]
        own_T = self._places[request].slots[:tokens]
        for x_LGSE in self._tensors():
            here_T, there_T = slots_T.to(x_LGSE.device), own_T.to(x_LGSE.device)
            for x_GSE in x_LGSE:
                x_GSE.index_copy_(1, there_T, x_GSE.index_select(1, here_T))

    def stow(self, request: int, tokens: int) -> None:
        """Copy the first tokens of a request to host memory, and free what it holds."""
        slots_T = self._places[request].slots[:tokens]
        self._stowed[request] = tuple(
            _on_host(x_LGSE.index_select(2, slots_T.to(x_LGSE.device)))
            for x_LGSE in self._tensors()
        )
        self.close(request)

    def fetch(self, request: int) -> None:
        """Copy back what a request, which holds enough slots again, had in host memory."""
        for x_LGSE, host_LGTE in zip(self._tensors(), self._stowed.pop(request), strict=True):
            slots_T = self._places[request].slots[: host_LGTE.shape[2]].to(x_LGSE.device)
            x_LGSE.index_copy_(2, slots_T, host_LGTE.to(x_LGSE.device))

    def forget(self, request: int) -> None:
        """Free what a request has in host memory, if anything."""
        self._stowed.pop(request, None)

    def has_stowed(self, request: int) -> bool:
        """Say whether a request has something in host memory."""
        return request in self._stowed

    def place(self, request: int) -> Place:
        """Return where an open request's tokens stand."""
        return self._places[request]

    def layer(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return one layer's keys and values of all slots: `[G, S, E]` each."""
        index = layer - self.layers[0]
        for keys_LGSE, values_LGSE in self._stores:
            if index < len(keys_LGSE):
                return keys_LGSE[index], values_LGSE[index]
            index -= len(keys_LGSE)
        raise IndexError(layer)

    def _tensors(self) -> Iterator[Tensor]:
        """Yield keys and values of all layers, those of each store in turn."""
        for store in self._stores:
            yield from store


Store = tuple[Tensor, Tensor]
"""Keys and values of some layers: `[L, G, S, E]` each."""
MakeArena = Callable[[Range, int, KvShape], Arena]


class KvCache:
    """Memory for `kv_tokens` tokens of context in every layer of a stage."""

    def __init__(
        self,
        blocks: Sequence[Range],
        kv_tokens: int,
        shape: KvShape,
        make_arena: MakeArena = Arena,
    ) -> None:
        self.arenas = tuple(make_arena(layers, kv_tokens, shape) for layers in blocks)
        """One for each block, in the order of layers."""

    def open(self, request: int, enter_layer: int, tokens: int) -> bool:
        """Reserve slots for so many tokens of a request, in all layers from the first that it runs.

        A request that is open keeps its slots, and gets more if it now needs more. Return whether
        it is new here.

        Raises
        ------
        HexplanError
            An arena has fewer free slots. Nothing is reserved then.
        """
        arenas = [arena for arena in self.arenas if arena.layers[0] >= enter_layer]
        lacking = [arena.missing(request, tokens) for arena in arenas]
        if not any(lacking):
            return False
        is_new = not any(arena.holds(request) for arena in arenas)
        for arena, missing in zip(arenas, lacking, strict=True):
            if missing > arena.free:
                message = f"KV cache: {missing} tokens asked, {arena.free} free"
                raise HexplanError(message)
        for arena, missing in zip(arenas, lacking, strict=True):
            if missing:
                arena.extend(request, missing)
        return is_new

    def copy(self, source: int, request: int, tokens: int) -> None:
        """Copy keys and values of the first tokens of one request to another that is open.

        The source must have them in all layers that the other one runs.
        """
        for arena in self.arenas:
            if arena.holds(request):
                arena.copy(source, request, tokens)

    def close(self, request: int, stays: int = 0) -> None:
        """Free what a request holds but for its first tokens; it may hold nothing."""
        for arena in self.arenas:
            arena.forget(request)
            arena.close(request, stays)

    def stow(self, request: int, tokens: int) -> None:
        """Move the first tokens of a request to host memory; it then holds no slots."""
        for arena in self.arenas:
            if arena.holds(request):
                arena.stow(request, tokens)

    def fetch(self, request: int) -> None:
        """Move back what a request, which is open again, has in host memory."""
        for arena in self.arenas:
            if arena.has_stowed(request):
                arena.fetch(request)


def blocks_of(layers: Range, enter_layers: Iterable[int | None]) -> tuple[Range, ...]:
    """Cut a stage's layers where routes enter."""
    first, end = layers
    inside = {layer for layer in enter_layers if layer is not None and first < layer < end}
    cuts = [first, *sorted(inside), end]
    return tuple(zip(cuts, cuts[1:], strict=False))


def store_of(layers: Range, tokens: int, shape: KvShape) -> Store:
    """Return zeros for keys and values of some layers, on the default device."""
    sizes = 2, layers[1] - layers[0], shape.kv_heads, tokens, shape.head_dim
    keys_LGSE, values_LGSE = _zeros(sizes, shape.dtype)
    return keys_LGSE, values_LGSE


def _cut(ranges: Iterable[Range], tokens: int) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """Cut ranges after so many slots, and return those before and those after."""
    before: list[Range] = []
    after: list[Range] = []
    for first, end in ranges:
        middle = min(end, first + tokens)
        tokens -= middle - first
        before += [(first, middle)] if first < middle else []
        after += [(middle, end)] if middle < end else []
    return tuple(before), tuple(after)


def _joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Join ranges that follow each other."""
    joined: list[Range] = []
    for first, end in ranges:
        if joined and joined[-1][1] == first:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((first, end))
    return tuple(joined)


def _on_host(x: Tensor) -> Tensor:
    """Return a copy in host memory, pinned where a device reads it back."""
    if x.device.type == "cpu":
        return x
    host = torch.empty(x.shape, dtype=x.dtype, device="cpu", pin_memory=x.device.type == "cuda")
    return host.copy_(x)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return zeros that take no memory until they are written to.

    They must be numbers: what no request holds is read under a mask, and a mask hides no NaN.
    `torch.zeros` would write them all at once, which takes seconds for a large arena on a CPU.
    """
    if torch.get_default_device().type != "cpu":
        return torch.zeros(shape, dtype=dtype)
    num_bytes = prod(shape) * dtype.itemsize
    try:
        memory = _map_memory(max(1, num_bytes))
    except OSError as error:
        message = f"KV cache: {num_bytes} bytes: {error.strerror}"
        raise InputError(message, hint="solve again with a lower `memory_fraction`") from error
    return torch.frombuffer(memory, dtype=torch.uint8)[:num_bytes].view(dtype).view(shape)


def _map_memory(num_bytes: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, num_bytes)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    return mmap.mmap(-1, num_bytes, flags=flags)
