"""A step of decodes in buffers that stay where they are, so that a graph can be run on them again.

Rows that pad a bucket repeat the first row: they write the same keys to the same slots, so nothing
else is touched.

Shapes: R rows of the bucket, H hidden width, G KV heads, Q query heads, g query heads of a KV head,
E head width, S slots, K keys that are read for each row, C pairs of turned channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan_runtime.model.kv_cache import Arena
from hexplan_runtime.model.portions import Portions
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.buckets import Bucket


class StaticStep:
    """What layers need to know of a padded step; it is filled anew for each step."""

    def __init__(self, bucket: Bucket, like_TH: Tensor, like: BlockStep, arena: Arena) -> None:
        self.tokens = bucket.rows
        """Number of tokens, padding included."""
        self.x_TH = like_TH.new_zeros(bucket.rows, like_TH.shape[1])
        """The residual stream."""
        self.turns_T1C = like.turns_T1C.new_zeros(bucket.rows, *like.turns_T1C.shape[1:])
        """How far queries and keys are turned."""
        self.portions: Portions | None = None
        """None: steps of decodes that run as graphs are tensor parallel."""
        self._arena = arena
        device = like_TH.device
        self._slots_R = torch.zeros(bucket.rows, dtype=torch.int64, device=device)
        self._key_slots_RK = torch.zeros(bucket.rows, bucket.keys, dtype=torch.int64, device=device)
        self._counts_R1 = torch.ones(bucket.rows, 1, dtype=torch.int64, device=device)
        self._place_K = torch.arange(bucket.keys, device=device)

    def fill(self, x_TH: Tensor, step: BlockStep) -> None:
        """Take a step of as many rows or fewer, all of one token."""
        order = _padded(len(x_TH), self.tokens)
        self.x_TH.copy_(x_TH[order])
        self.turns_T1C.copy_(step.turns_T1C[order])
        counts = [row.position + 1 for row in step.seen]
        for index, (row, count) in enumerate(zip(step.seen, counts, strict=True)):
            slots = row.place.slots[:count]
            self._key_slots_RK[index, :count] = slots
            self._key_slots_RK[index, count:] = slots[0]
        for index in range(len(x_TH), self.tokens):
            self._key_slots_RK[index] = self._key_slots_RK[0]
        padded = torch.tensor([counts[index] for index in order], device=x_TH.device)
        self._counts_R1.copy_(padded[:, None])
        last_R1 = self._key_slots_RK.gather(1, self._counts_R1 - 1)
        self._slots_R.copy_(last_R1[:, 0])

    def store(self, layer: int, k_TGE: Tensor, v_TGE: Tensor) -> tuple[Tensor, Tensor]:
        """Store the tokens' keys and values, and return those of all slots: `[G, S, E]` each."""
        keys_GSE, values_GSE = self._arena.layer(layer)
        keys_GSE.index_copy_(1, self._slots_R, k_TGE.transpose(0, 1))
        values_GSE.index_copy_(1, self._slots_R, v_TGE.transpose(0, 1))
        return keys_GSE, values_GSE

    def reads(self, window: int | None) -> StaticReads:
        """Return what each token attends to in the layers with this window."""
        is_seen_RK = self._place_K < self._counts_R1
        if window is not None:
            is_seen_RK &= self._place_K >= self._counts_R1 - window
        return StaticReads(self._key_slots_RK, is_seen_RK[:, None, None])


class StaticReads:
    """Attention over keys that are gathered for each row, of which some are hidden."""

    def __init__(self, key_slots_RK: Tensor, is_seen_R11K: Tensor) -> None:
        self._key_slots_RK = key_slots_RK
        self._is_seen_R11K = is_seen_R11K

    def attend(self, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the attention's output for all tokens: `[R, Q E]`."""
        q_RGgE = q_TQE.reshape(len(q_TQE), len(keys_GSE), -1, q_TQE.shape[-1])
        k_RGKE, v_RGKE = (x[:, self._key_slots_RK].transpose(0, 1) for x in (keys_GSE, values_GSE))
        out: Tensor = F.scaled_dot_product_attention(
            q_RGgE, k_RGKE, v_RGKE, attn_mask=self._is_seen_R11K
        )
        return out.reshape(len(q_TQE), -1)


def _padded(rows: int, size: int) -> Sequence[int]:
    return [*range(rows), *[0] * (size - rows)]
