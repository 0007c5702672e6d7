"""What a block of layers needs to know about the tokens that they get in one step.

Everything that depends on rows is worked out here, once a step and block, so that layers do
tensor work alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.model.kv_cache import Arena
from hexplan_runtime.model.kv_reads import Reads, Seen
from hexplan_runtime.model.portions import Portions
from hexplan_runtime.model.rotary import RotaryTable


@dataclass(frozen=True, slots=True)
class Span:
    """Where a row's tokens stand in the batch: `[first, end)`."""

    row: Row
    first: int
    end: int


class Attends(Protocol):
    """What the tokens of a step attend to, in the layers with one window."""

    def attend(self, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the attention's output for all tokens: `[T, Q E]`."""
        ...


class LayerStep(Protocol):
    """What a layer needs to know of a step."""

    turns_T1C: Tensor
    """How far queries and keys are turned."""
    portions: Portions | None
    """Which tokens each rank takes; None if the step is tensor parallel."""

    def store(self, layer: int, k_TGE: Tensor, v_TGE: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values, and return those of all slots."""
        ...

    def reads(self, window: int | None) -> Attends:
        """Return what each token attends to in the layers with this window."""
        ...


MakeReads = Callable[[Sequence[Seen], int | None, Arena], Attends]


class BlockStep:
    """The tokens of a step that a block of layers runs: the first ones of the batch.

    Parameters
    ----------
    make_reads
        How rows attend, from where their keys stand.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        turns_T1C: Tensor,
        arena: Arena,
        make_reads: MakeReads = Reads,
    ) -> None:
        self.tokens = spans[-1].end
        """Number of tokens."""
        self.turns_T1C = turns_T1C[: self.tokens]
        """How far queries and keys are turned."""
        self.portions: Portions | None = None
        """Which tokens each rank takes; None if the step is tensor parallel."""
        self.spans, self._arena = spans, arena
        self.seen = tuple(_seen(span, arena) for span in spans)
        """Where the keys of each row stand."""
        slots = [slot for seen in self.seen for slot in seen.slots()]
        self.slots_T = torch.tensor(slots)
        """Slot of each token."""
        self._make_reads = make_reads
        self._reads: dict[int | None, Attends] = {}

    def cut(self, tokens: int) -> tuple[BlockStep, BlockStep]:
        """Return the step's first tokens and its others as two steps; a row may be in both.

        What a row has in the second attends to what it has in the first, so each layer stores keys
        and values of the first before it runs the second.
        """
        parts = _part(self.spans, 0, tokens), _part(self.spans, tokens, self.tokens)
        turns = self.turns_T1C[:tokens], self.turns_T1C[tokens:]
        first, second = (
            BlockStep(spans, turn, self._arena, self._make_reads)
            for spans, turn in zip(parts, turns, strict=True)
        )
        return first, second

    @property
    def positions_T(self) -> Tensor:
        """Position of each token in its request."""
        parts = [torch.arange(row.position, row.position + row.tokens) for row in self.seen]
        return torch.cat(parts)

    def store(self, layer: int, k_TGE: Tensor, v_TGE: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values, and return those of all slots.

        Both are `[G, S, E]`.
        """
        keys_GSE, values_GSE = self._arena.layer(layer)
        keys_GSE.index_copy_(1, self.slots_T, k_TGE.transpose(0, 1))
        values_GSE.index_copy_(1, self.slots_T, v_TGE.transpose(0, 1))
        return keys_GSE, values_GSE

    def reads(self, window: int | None) -> Attends:
        """Return what each token attends to in the layers with this window."""
        if window not in self._reads:
            self._reads[window] = self._make_reads(self.seen, window, self._arena)
        return self._reads[window]


def spans_of(rows: Sequence[Row]) -> tuple[Span, ...]:
    """Give each row that has tokens its place along the batch."""
    spans, first = [], 0
    for row in rows:
        if row.tokens:
            spans.append(Span(row, first, first + row.tokens))
            first += row.tokens
    return tuple(spans)


def turns_of(spans: Sequence[Span], table: RotaryTable) -> Tensor:
    """Return the turn of each token of these rows."""
    positions: list[int] = []
    for span in spans:
        positions += range(span.row.position, span.row.position + span.row.tokens)
    return table(positions)


def _seen(span: Span, arena: Arena) -> Seen:
    row = span.row
    return Seen(span.first, row.position, row.tokens, arena.place(row.request))


def _part(spans: Sequence[Span], first: int, end: int) -> tuple[Span, ...]:
    """Return what rows have in `[first, end)` of a step, as rows of a step of its own."""
    parts = []
    for span in spans:
        low, high = max(first, span.first), min(end, span.end)
        if low < high:
            row = span.row
            position = row.position + low - span.first
            row = replace(row, position=position, tokens=high - low)
            parts.append(Span(row, low - first, high - first))
    return tuple(parts)
