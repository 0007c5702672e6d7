"""Attention in a KV arena: whose keys one call of the kernel reads, and where they stand.

The kernel takes several requests at once if their keys stand equally far apart, so rows of one
token are grouped into such calls, and nothing is copied. Any two rows stand so; more do if they
were opened one after another with equal room. Keys in several pieces are gathered first.

Shapes: T tokens, Q query heads, G KV heads, g query heads of a KV head, E head width, S slots,
R rows of a group, K keys that a row sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan_runtime.model.kv_cache import Arena, Place

_SPARE_KEYS: Final = 64
"""Keys that a row of a group may read in vain: about what a call of the kernel costs."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One row of a step: its tokens, and where the keys stand that they attend to."""

    token: int
    """Index of its first token in the batch."""
    position: int
    """Position of that token."""
    tokens: int
    place: Place

    def slots(self) -> Sequence[int]:
        """Return the slot of each of its tokens."""
        first, end = self.position, self.position + self.tokens
        start = self.place.start
        if start is not None:
            return range(start + first, start + end)
        slots: list[int] = self.place.slots[first:end].tolist()
        return slots


@dataclass(frozen=True, slots=True)
class Single:
    """A row of one token, which sees `count` keys from slot `start` on."""

    token: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of one token whose keys begin `stride` slots apart."""

    rows: int
    start: int
    """Slot of the first row's first key."""
    stride: int
    keys: int
    """Keys that are read for each row."""
    mask_R11K: Tensor | None
    """What hides the keys beyond those that a row sees, if any row sees fewer than are read."""

    def of(self, x_GSE: Tensor) -> Tensor:
        """Return the rows' keys or values, in place: `[R, G, K, E]`."""
        heads, _, width = x_GSE.shape
        by_head, by_slot, _ = x_GSE.stride()
        sizes = self.rows, heads, self.keys, width
        strides = self.stride * by_slot, by_head, by_slot, 1
        return x_GSE.as_strided(sizes, strides, x_GSE.storage_offset() + self.start * by_slot)


@dataclass(frozen=True, slots=True)
class _Run:
    """A row of several tokens, or one whose keys stand in several pieces; it attends by itself."""

    first: int
    end: int
    slots_K: Tensor | slice
    mask_TK: Tensor | None
    is_causal: bool

    def attend(self, q_TGgE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the output of this row's tokens; no head's keys are copied for its queries."""
        q_GgTE = q_TGgE.permute(1, 2, 0, 3)
        out_GgTE: Tensor = F.scaled_dot_product_attention(
            q_GgTE,
            self._of(keys_GSE, q_GgTE),
            self._of(values_GSE, q_GgTE),
            attn_mask=self.mask_TK,
            is_causal=self.is_causal,
        )
        return out_GgTE.permute(2, 0, 1, 3)

    def _of(self, x_GSE: Tensor, q_GgTE: Tensor) -> Tensor:
        """Return its keys or values, in place if they can be: `[G, g, K, E]`."""
        if isinstance(self.slots_K, slice):
            x_GKE = x_GSE[:, self.slots_K]
        else:
            x_GKE = x_GSE.index_select(1, self.slots_K)
        return x_GKE[:, None].expand(-1, q_GgTE.shape[1], -1, -1)


class Reads:
    """What the tokens of a step attend to, in the layers of one block with one window."""

    def __init__(self, seen: Sequence[Seen], window: int | None, arena: Arena) -> None:
        singles = [_single(row, window) for row in seen if _is_single(row)]
        grouped = tuple(group_rows(singles, arena.tokens))
        self._groups = tuple(_group(rows, arena.shape.dtype) for rows in grouped)
        self._runs = tuple(_run(row, window) for row in seen if not _is_single(row))
        order = [row.token for rows in grouped for row in rows]
        self._order_R: Tensor | None = None
        if self._runs or order != list(range(len(order))):
            self._order_R = torch.tensor(order, dtype=torch.int64)

    def attend(self, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the attention's output for all tokens: `[T, Q E]`."""
        tokens, _, width = q_TQE.shape
        q_TGgE = q_TQE.view(tokens, len(keys_GSE), -1, width)
        if self._order_R is None:
            return self._attend_singles(q_TGgE, keys_GSE, values_GSE).view(tokens, -1)
        out_TGgE = q_TGgE.new_empty(q_TGgE.shape)
        if self._groups:
            q_RGgE = q_TGgE.index_select(0, self._order_R)
            singles = self._attend_singles(q_RGgE, keys_GSE, values_GSE)
            out_TGgE.index_copy_(0, self._order_R, singles)
        for run in self._runs:
            out_TGgE[run.first : run.end] = run.attend(
                q_TGgE[run.first : run.end], keys_GSE, values_GSE
            )
        return out_TGgE.view(tokens, -1)

    def _attend_singles(self, q_RGgE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the output of rows of one token, in the order of their groups.

        The query heads that share a KV head take the place of tokens, which needs no copies of
        keys.
        """
        outs, first = [], 0
        for group in self._groups:
            end = first + group.rows
            out: Tensor = F.scaled_dot_product_attention(
                q_RGgE[first:end],
                group.of(keys_GSE),
                group.of(values_GSE),
                attn_mask=group.mask_R11K,
            )
            outs.append(out)
            first = end
        return outs[0] if len(outs) == 1 else torch.cat(outs)


def _is_single(row: Seen) -> bool:
    return row.tokens == 1 and row.place.start is not None


def _single(row: Seen, window: int | None) -> Single:
    assert row.place.start is not None
    end = row.position + 1
    first = 0 if window is None else max(0, end - window)
    return Single(row.token, row.place.start + first, end - first)


def _run(row: Seen, window: int | None) -> _Run:
    end = row.position + row.tokens
    first = 0 if window is None else max(0, row.position + 1 - window)
    start = row.place.start
    slots = row.place.slots[first:end] if start is None else slice(start + first, start + end)
    is_causal = row.position == 0 and (window is None or window >= row.tokens)
    is_plain = is_causal or row.tokens == 1
    mask = None if is_plain else visible(row, first, window)
    return _Run(row.token, row.token + row.tokens, slots, mask, is_causal)


def visible(row: Seen, first: int, window: int | None) -> Tensor:
    """Return which of the positions from `first` on each token sees."""
    end = row.position + row.tokens
    query_T1 = torch.arange(row.position, end)[:, None]
    key_K = torch.arange(first, end)
    sees_TK = key_K <= query_T1
    return sees_TK if window is None else sees_TK & (key_K > query_T1 - window)


def group_rows(singles: Sequence[Single], slots: int) -> Iterator[list[Single]]:
    """Yield the rows in groups whose keys begin equally far apart in an arena of so many slots.

    Neighbours in the arena that continue a group come first. The rest are paired with rows that
    see about as many keys.
    """
    rest: list[Single] = []
    held = _Held()
    for single in sorted(singles, key=lambda row: row.start):
        if not held.may_take(single, slots):
            yield from _long_enough(held.rows, rest)
            held = _Held()
        held.take(single)
    yield from _long_enough(held.rows, rest)
    rest.sort(key=lambda row: row.count)
    while rest:
        first, *second = sorted(rest[-2:], key=lambda row: row.start)
        held = _Held()
        held.take(first)
        if not second or held.may_take(second[0], slots):
            del rest[-2:]
            yield [first, *second]
        else:
            yield [rest.pop()]


def _long_enough(held: list[Single], rest: list[Single]) -> Iterator[list[Single]]:
    """Yield a group of more than two rows; others are left for a pair that fits better."""
    if len(held) > 2:
        yield held
    else:
        rest += held


class _Held:
    """Rows of a group that may still grow, by rising start."""

    def __init__(self) -> None:
        self.rows: list[Single] = []
        self._keys = self._seen = 0

    def take(self, single: Single) -> None:
        """Add a row."""
        self.rows.append(single)
        self._keys = max(self._keys, single.count)
        self._seen += single.count

    def may_take(self, single: Single, slots: int) -> bool:
        """Say whether the group may go on with this row, without reading much in vain."""
        rows = self.rows
        if not rows:
            return True
        if len(rows) > 1 and single.start - rows[-1].start != rows[-1].start - rows[-2].start:
            return False
        keys = max(self._keys, single.count)
        spare = keys * (len(rows) + 1) - self._seen - single.count
        return spare <= _SPARE_KEYS * len(rows) and single.start + keys <= slots


def _group(rows: Sequence[Single], dtype: torch.dtype) -> _Group:
    counts = [row.count for row in rows]
    keys = max(counts)
    mask = None
    if min(counts) < keys:
        sees_RK = torch.arange(keys) < torch.tensor(counts)[:, None]
        mask = torch.zeros(sees_RK.shape, dtype=dtype).masked_fill_(~sees_RK, -torch.inf)
        mask = mask[:, None, None]
    stride = rows[1].start - rows[0].start if len(rows) > 1 else 0
    return _Group(len(rows), rows[0].start, stride, keys, mask)
