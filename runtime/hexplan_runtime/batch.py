"""The batch: rows of requests with their tokens or activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.request import Sampling

MAX_ROWS: Final = 64
"""Rows that one batch may have."""


@dataclass(frozen=True, slots=True)
class Row:
    """The part of one request that a batch carries."""

    request: int
    """Id of the request, unique within a launch."""
    route: int
    """Index into the plan's routes."""
    position: int
    """Position of its first token here."""
    tokens: int
    """Number of its tokens here."""
    context_tokens: int
    """Tokens of KV cache that the whole request may need."""
    sampling: Sampling
    samples: bool = False
    """Whether the last stage draws the next token after it."""
    closes: bool = False
    """Whether the request is over, so that stages free its KV cache; such a row has no tokens."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows and what they bring: first those that bring token ids, then those with activations."""

    rows: tuple[Row, ...]
    token_ids: Tensor | None = None
    """One id a token."""
    hidden: Tensor | None = None
    """One activation a token."""

    @property
    def tokens(self) -> int:
        """Number of tokens of all rows."""
        return sum(row.tokens for row in self.rows)


def merge(batches: Sequence[Batch]) -> Batch:
    """Return one batch of several, of which those with token ids come first."""
    if len(batches) == 1:
        return batches[0]
    return Batch(
        tuple(row for batch in batches for row in batch.rows),
        _concatenate([batch.token_ids for batch in batches]),
        _concatenate([batch.hidden for batch in batches]),
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may go into one batch; what comes alone may have more tokens."""

    rows: int
    tokens: int


def regroup(batches: Sequence[Batch], limits: Limits) -> Iterator[Batch]:
    """Yield the batches merged in their order, as far as the limits go."""
    held: list[Batch] = []
    for batch in batches:
        if held and not fits(held, batch, limits):
            yield merge(held)
            held = []
        held.append(batch)
    if held:
        yield merge(held)


def fits(held: Sequence[Batch], batch: Batch, limits: Limits) -> bool:
    """Say whether one more batch can be merged with those held."""
    together = [*held, batch]
    rows, tokens = sum(len(b.rows) for b in together), sum(b.tokens for b in together)
    return rows <= limits.rows and tokens <= limits.tokens


def sampled(row: Row) -> Row:
    """Return the row that carries the token drawn after this one."""
    return replace(row, position=row.position + row.tokens, tokens=1, samples=False)


def _concatenate(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
