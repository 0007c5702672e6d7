"""Biases and penalties: logits of single tokens are changed, those of all requests at once.

Shapes: R rows, V vocabulary, N tokens of all requests together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.request import History, Penalties, TokenBias

_FLOATS: Final = torch.finfo(torch.float32)


class TokenCounts:
    """Which tokens a request has, and how often each was drawn."""

    def __init__(self, history: History) -> None:
        self._slots: dict[int, int] = {}
        self._ids = torch.empty(0, dtype=torch.int64)
        self._drawn = torch.empty(0)
        self._make_room(len(set(history.ids)))
        for token in history.ids[: history.num_prompt]:
            self._slot(token)
        for token in history.ids[history.num_prompt :]:
            self.add(token)

    def add(self, token: int) -> None:
        """Count a token that was drawn."""
        slot = self._slot(token)  # first, as it may make room
        self._drawn[slot] += 1

    @property
    def ids(self) -> Tensor:
        """Each token of the prompt and the new text, once: `[N]`."""
        return self._ids[: len(self._slots)]

    @property
    def drawn(self) -> Tensor:
        """How often each of them is in the new text: `[N]`."""
        return self._drawn[: len(self._slots)]

    def _slot(self, token: int) -> int:
        slot = self._slots.get(token)
        if slot is None:
            slot = self._slots[token] = len(self._slots)
            if slot == len(self._ids):
                self._make_room(slot)
            self._ids[slot] = token
        return slot

    def _make_room(self, tokens: int) -> None:
        """Make room for so many more, and at least for a few."""
        more = max(tokens, 16)
        self._ids = torch.cat([self._ids, torch.zeros(more, dtype=torch.int64)])
        self._drawn = torch.cat([self._drawn, torch.zeros(more)])


@dataclass(frozen=True, slots=True)
class Penalized:
    """A row whose earlier tokens become less likely."""

    row: int
    """Index of the row."""
    penalties: Penalties
    counts: TokenCounts


def penalize(logits_RV: Tensor, penalized: Sequence[Penalized]) -> None:
    """Change the logits of tokens that were there before, in place; they are 32 bits wide."""
    sizes = torch.tensor([len(one.counts.ids) for one in penalized])
    rows_N = torch.tensor([one.row for one in penalized]).repeat_interleave(sizes)
    ids_N = torch.cat([one.counts.ids for one in penalized])
    drawn_N = torch.cat([one.counts.drawn for one in penalized])
    numbers = [(p.repetition, p.presence, p.frequency) for p in (o.penalties for o in penalized)]
    numbers_N3 = torch.tensor(numbers, dtype=torch.float32).repeat_interleave(sizes, dim=0)
    repetition_N, presence_N, frequency_N = numbers_N3.unbind(dim=1)
    # Without this, an absurd repetition penalty could make 0 / 0 of a logit, or two infinities.
    repetition_N = repetition_N.clamp(_FLOATS.tiny, _FLOATS.max)
    found_N = logits_RV[rows_N, ids_N]
    found_N = torch.where(found_N < 0, found_N * repetition_N, found_N / repetition_N)
    found_N = found_N - frequency_N * drawn_N - presence_N * (drawn_N > 0)
    logits_RV[rows_N, ids_N] = found_N.clamp_(_FLOATS.min, _FLOATS.max)


def add_biases(logits_RV: Tensor, biases: Sequence[tuple[int, TokenBias]]) -> None:
    """Add to logits, in place; each bias comes with the index of its row."""
    vocab = logits_RV.shape[-1]
    known = [(row, one) for row, one in biases if 0 <= one.token_id < vocab]
    rows_N = torch.tensor([row for row, _ in known], dtype=torch.int64)
    ids_N = torch.tensor([one.token_id for _, one in known], dtype=torch.int64)
    values_N = torch.tensor([one.bias for _, one in known], dtype=torch.float32)
    logits_RV.index_put_((rows_N, ids_N), values_N, accumulate=True)
