"""What the rows of a step see in host memory, and how keys and values come from there.

Shapes: R rows of one token, P pages of a row, G KV heads, g query heads of a KV head, n pages
fetched, K keys fetched, E head width, S slots, t tokens of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan.constants import PAGE_TOKENS
from hexplan.field_types import Range
from hexplan_runtime.model.kv_reads import Seen
from hexplan_runtime.runner.kv_offload.offload_arena import OffloadArena
from hexplan_runtime.runner.kv_offload.pages import Needed, pages_of


@dataclass(frozen=True, slots=True)
class Fetched:
    """Keys and values on their way to the device, of the pages that rows need."""

    k_RGKE: Tensor
    v_RGKE: Tensor
    is_seen_RG1K: Tensor
    """Which of the keys a row's token sees."""

    def attend(self, q_RGgE: Tensor, k_RG1E: Tensor, v_RG1E: Tensor) -> Tensor:
        """Return the attention's output for rows that see their own tokens besides."""
        out_RGgE: Tensor = F.scaled_dot_product_attention(
            q_RGgE,
            torch.cat([self.k_RGKE, k_RG1E], dim=2),
            torch.cat([self.v_RGKE, v_RG1E], dim=2),
            attn_mask=F.pad(self.is_seen_RG1K, (0, 1), value=True),
        )
        return out_RGgE


class Decodes:
    """Some rows of a step that decode, and where their earlier tokens are.

    Parameters
    ----------
    rows
        Where the keys of each stand, and the request that it is of.
    """

    def __init__(self, rows: Sequence[tuple[Seen, int]], arena: OffloadArena) -> None:
        self._arena = arena
        seen = [row for row, _ in rows]
        self.tokens_R = torch.tensor([row.token for row in seen])
        """Index of each row's token in the batch."""
        self._positions = [row.position for row in seen]
        self._position_R = torch.tensor(self._positions)
        pages = max(pages_of((0, position))[1] for position in self._positions)
        tables = [arena.pages(request)[:pages] for _, request in rows]
        self.pages_RP = _padded(tables, pages)
        """Page of the pool for each page of each row."""
        slots = [row.place.slots[: row.position] for row in seen]
        self._slots_RPt = _padded(slots, pages * PAGE_TOKENS).view(len(seen), pages, PAGE_TOKENS)

    def visible(self, window: int | None) -> list[Range]:
        """Return the earlier positions that each row's token sees."""
        starts = [0 if window is None else max(0, at + 1 - window) for at in self._positions]
        return list(zip(starts, self._positions, strict=True))

    def bounds(self, layer: int) -> Tensor:
        """Return the bounds of all pages of all rows: `[2, G, R, P, E]`."""
        return self._arena.bounds(layer)[:, :, self.pages_RP]

    def fetch(self, layer: int, needed: Needed, window: int | None) -> Fetched:
        """Gather the keys and values of pages in host memory, and send them to the device."""
        pages_RGn = needed.pages_RGn
        rows, heads, pages = pages_RGn.shape
        device = pages_RGn.device
        row_R11 = torch.arange(rows, device=device)[:, None, None]
        slots_RGK = self._slots_RPt[row_R11, pages_RGn].view(rows, heads, -1)
        place_t = torch.arange(PAGE_TOKENS, device=device)
        position_RGK = (pages_RGn[..., None] * PAGE_TOKENS + place_t).view(rows, heads, -1)
        end_R11 = self._position_R[:, None, None]
        is_seen = position_RGK < end_R11
        if window is not None:
            is_seen &= position_RGK > end_R11 - window
        is_needed = needed.is_needed_R1n[..., None].expand(-1, -1, -1, PAGE_TOKENS)
        is_seen &= is_needed.reshape(rows, 1, -1)
        k_RGKE, v_RGKE = gather(self._arena.layer(layer), slots_RGK, device)
        return Fetched(k_RGKE, v_RGKE, is_seen[:, :, None])


def gather(store: tuple[Tensor, Tensor], slots_RGK: Tensor, device: torch.device) -> list[Tensor]:
    """Return keys and values in host memory, of slots of their own for each head, on the device."""
    keys_GSE, _ = store
    heads, slots, width = keys_GSE.shape
    flat_N = slots_RGK.cpu() + torch.arange(heads, device="cpu")[:, None] * slots
    flat_N = flat_N.flatten()
    return [
        x_GSE.reshape(heads * slots, width)
        .index_select(0, flat_N)
        .to(device)
        .view(*slots_RGK.shape, width)
        for x_GSE in store
    ]


def _padded(rows: Sequence[Tensor], size: int) -> Tensor:
    """Return rows of one length; what is added is never seen."""
    padded = rows[0].new_zeros(len(rows), size)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded
