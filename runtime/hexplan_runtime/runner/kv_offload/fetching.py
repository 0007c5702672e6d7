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
from hexplan_runtime.runner.kv_offload.crossing import Sent, Told, send_rows, tell_host
from hexplan_runtime.runner.kv_offload.offload_arena import OffloadArena
from hexplan_runtime.runner.kv_offload.pages import Needed, pages_of


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the keys stand that rows need, as the host is being told."""

    slots_RGK: Told
    is_seen_RG1K: Tensor
    """Which of them a row's token sees."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Keys and values on their way to the device, of the pages that rows need."""

    keys: Sent
    values: Sent
    is_seen_RG1K: Tensor
    """Which of the keys a row's token sees."""

    def attend(self, q_RGgE: Tensor, k_RG1E: Tensor, v_RG1E: Tensor) -> Tensor:
        """Return the attention's output for rows that see their own tokens besides."""
        rows, heads, _, keys = self.is_seen_RG1K.shape
        k_RGKE, v_RGKE = (
            sent.read().view(rows, heads, keys, -1) for sent in (self.keys, self.values)
        )
        out_RGgE: Tensor = F.scaled_dot_product_attention(
            q_RGgE,
            torch.cat([k_RGKE, k_RG1E], dim=2),
            torch.cat([v_RGKE, v_RG1E], dim=2),
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

    def aim(self, needed: Needed, window: int | None) -> Aim:
        """Begin to tell the host where the keys of pages stand."""
        pages_RGn = needed.pages_RGn
        rows, heads, _ = pages_RGn.shape
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
        return Aim(tell_host(slots_RGK), is_seen[:, :, None])

    def fetch(self, layer: int, aim: Aim) -> Fetched:
        """Gather keys and values in host memory, and send them to the device."""
        slots_RGK = aim.slots_RGK.read()
        keys_GSE, values_GSE = self._arena.layer(layer)
        heads, slots, width = keys_GSE.shape
        rows_RGK = slots_RGK + torch.arange(heads, device=slots_RGK.device)[:, None] * slots
        device = aim.is_seen_RG1K.device
        keys, values = (
            send_rows(x_GSE.reshape(heads * slots, width), rows_RGK.flatten(), device)
            for x_GSE in (keys_GSE, values_GSE)
        )
        return Fetched(keys, values, aim.is_seen_RG1K)


def _padded(rows: Sequence[Tensor], size: int) -> Tensor:
    """Return rows of one length; what is added is never seen."""
    padded = rows[0].new_zeros(len(rows), size)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded
