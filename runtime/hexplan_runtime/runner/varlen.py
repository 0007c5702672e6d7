"""Attention of all rows of a step in one call of a kernel that takes rows of varied length.

On a GPU one call beats one a row. Keys and values are gathered first, as such kernels want them one
after another. flash-attn or FlashInfer do it where they are installed and have the type; else
FlexAttention, which torch compiles.

Shapes: T tokens, Q query heads, G KV heads, E head width, S slots, N gathered keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Final, Literal

import torch
from torch import Tensor

from hexplan_runtime.model.kv_cache import Arena
from hexplan_runtime.model.kv_reads import Reads, Seen

KernelName = Literal["flashinfer", "flash_attn", "flex"]
_HALVES: Final = (torch.float16, torch.bfloat16)
_WORKSPACE_BYTES: Final = 128 << 20
"""What FlashInfer's guide gives it to work in."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the queries and keys of each row stand, one row after another."""

    query_ends: tuple[int, ...]
    """Of each row the end of its queries; they are the last of its keys."""
    key_ends: tuple[int, ...]
    window: int | None
    """How many positions a token sees, itself included; None means all."""

    @property
    def query_counts(self) -> tuple[int, ...]:
        """Queries of each row."""
        return _steps(self.query_ends)

    @property
    def key_counts(self) -> tuple[int, ...]:
        """Keys of each row."""
        return _steps(self.key_ends)


class VarlenReads:
    """What the tokens of a step attend to, like `Reads`, in one call."""

    def __init__(self, seen: Sequence[Seen], window: int | None, kernel: Kernel) -> None:
        slots: list[Tensor] = []
        query_ends: list[int] = []
        key_ends: list[int] = []
        for row in seen:
            end = row.position + row.tokens
            first = 0 if window is None else max(0, row.position + 1 - window)
            slots.append(row.place.slots[first:end])
            query_ends.append((query_ends[-1] if query_ends else 0) + row.tokens)
            key_ends.append((key_ends[-1] if key_ends else 0) + end - first)
        self._slots_N = torch.cat(slots)
        self._rows = Rows(tuple(query_ends), tuple(key_ends), window)
        self._attend = kernel(self._rows)

    def attend(self, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the attention's output for all tokens: `[T, Q E]`."""
        k_NGE, v_NGE = (
            x.index_select(1, self._slots_N).transpose(0, 1).contiguous()
            for x in (keys_GSE, values_GSE)
        )
        return self._attend(q_TQE.contiguous(), k_NGE, v_NGE).reshape(len(q_TQE), -1)


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From `[T, Q, E]`, `[N, G, E]` and `[N, G, E]` to `[T, Q, E]`."""
Kernel = Callable[[Rows], Attend]


def find_kernel(device: torch.device, dtype: torch.dtype) -> KernelName | None:
    """Return the kernel for a device and a type; None where one call a row is best."""
    if device.type != "cuda":
        return None
    if dtype in _HALVES:
        if find_spec("flash_attn") is not None:
            return "flash_attn"
        if find_spec("flashinfer") is not None:
            return "flashinfer"
    return "flex"


def reads_of(seen: Sequence[Seen], window: int | None, arena: Arena) -> Reads | VarlenReads:
    """Return how a step's tokens attend on the device that holds the arena."""
    keys_GSE, _ = arena.layer(arena.layers[0])
    name = find_kernel(keys_GSE.device, keys_GSE.dtype)
    if name is None:
        return Reads(seen, window, arena)
    return VarlenReads(seen, window, KERNELS[name])


def flash_attn(rows: Rows) -> Attend:
    """Return flash-attn for these rows."""
    from flash_attn import flash_attn_varlen_func

    left = -1 if rows.window is None else rows.window - 1
    ends = {
        "cu_seqlens_q": _offsets(rows.query_ends),
        "cu_seqlens_k": _offsets(rows.key_ends),
        "max_seqlen_q": max(rows.query_counts),
        "max_seqlen_k": max(rows.key_counts),
    }

    def run(q_TQE: Tensor, k_NGE: Tensor, v_NGE: Tensor) -> Tensor:
        out: Tensor = flash_attn_varlen_func(
            q_TQE, k_NGE, v_NGE, **ends, causal=True, window_size=(left, 0 if left >= 0 else -1)
        )
        return out

    return run


def flashinfer(rows: Rows) -> Attend:
    """Return FlashInfer for these rows."""
    wrapper = _flashinfer_wrapper()
    starts = _offsets(rows.query_ends), _offsets(rows.key_ends)
    left = -1 if rows.window is None else rows.window - 1
    planned: list[tuple[int, ...]] = []

    def run(q_TQE: Tensor, k_NGE: Tensor, v_NGE: Tensor) -> Tensor:
        sizes = (q_TQE.shape[1], k_NGE.shape[1], q_TQE.shape[2])
        if not planned:
            planned.append(sizes)
            wrapper.plan(*starts, *sizes, causal=True, window_left=left, q_data_type=q_TQE.dtype)
        out: Tensor = wrapper.run(q_TQE, k_NGE, v_NGE)
        return out

    return run


def flex(rows: Rows) -> Attend:
    """Return FlexAttention for these rows; it is compiled on a GPU."""
    from torch.nn.attention.flex_attention import create_block_mask

    row_T, at_T = _places(rows.query_counts, rows.key_counts)
    row_N, at_N = _places(rows.key_counts, rows.key_counts)
    window = rows.window or rows.key_ends[-1]

    def sees(_batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        ahead = at_T[q] - at_N[k]
        return (row_T[q] == row_N[k]) & (ahead >= 0) & (ahead < window)

    device = str(row_T.device)
    mask = create_block_mask(sees, None, None, len(row_T), len(row_N), device=device)

    def run(q_TQE: Tensor, k_NGE: Tensor, v_NGE: Tensor) -> Tensor:
        q, k, v = (x.transpose(0, 1)[None] for x in (q_TQE, k_NGE, v_NGE))
        out: Tensor = _flex(q.is_cuda)(q, k, v, block_mask=mask, enable_gqa=True)
        return out[0].transpose(0, 1)

    return run


KERNELS: Final[dict[KernelName, Kernel]] = {
    "flash_attn": flash_attn,
    "flashinfer": flashinfer,
    "flex": flex,
}


@cache
def _flex(is_compiled: bool) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    plain: Callable[..., Any] = flex_attention
    return torch.compile(plain, dynamic=True) if is_compiled else plain


@cache
def _flashinfer_wrapper() -> Any:
    from flashinfer import BatchPrefillWithRaggedKVCacheWrapper

    workspace = torch.empty(_WORKSPACE_BYTES, dtype=torch.uint8, device="cuda")
    return BatchPrefillWithRaggedKVCacheWrapper(workspace, "NHD")


def _steps(ends: Sequence[int]) -> tuple[int, ...]:
    return tuple(end - first for first, end in zip((0, *ends), ends, strict=False))


def _offsets(ends: Sequence[int]) -> Tensor:
    return torch.tensor((0, *ends), dtype=torch.int32)


def _places(counts: Sequence[int], keys: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return, for the last `counts` keys of each row, the row and the place among its keys."""
    row = torch.cat([torch.full((count,), index) for index, count in enumerate(counts)])
    pairs = zip(counts, keys, strict=True)
    return row, torch.cat([torch.arange(of - count, of) for count, of in pairs])
