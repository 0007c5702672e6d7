"""The batch: rows of requests with their tokens or activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hexplan.constants import MAX_BATCH
from hexplan_runtime.request import ENDLESS, EndRule, Logprobs, Sampling

MAX_ROWS: Final = 2 * MAX_BATCH
"""Rows that one batch may have: at most half of them are decodes, so others find room beside."""


BLOCK_TOKENS: Final = 16
"""Requests share the keys and values of whole blocks of tokens."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first tokens of a request, whose keys and values stages copy and do not compute."""

    tokens: int = 0
    sources: tuple[int, ...] = ()
    """For each stage of the route in turn, the request that has them there."""


NOTHING: Final = Prefix()


@dataclass(frozen=True, slots=True)
class Row:
    """The part of one request that a batch carries."""

    request: int
    """Id of the request, unique within a launch."""
    route: int
    """Index into the plan's routes."""
    position: int
    """Position of its first token here; where it closes its request, how many tokens stay."""
    tokens: int
    """Number of its tokens here."""
    context_tokens: int
    """Tokens of KV cache that are reserved for the request so far; it never sinks."""
    sampling: Sampling
    samples: bool = False
    """Whether the last stage draws the next token after it."""
    closes: bool = False
    """Whether the request is over, so that stages free its KV cache but for what stays, and drop
    what of it waits; such a row has no tokens."""
    decodes: bool = False
    """Whether its one token was drawn, and is not of the prompt."""
    end_rule: EndRule = ENDLESS
    prefix: Prefix = NOTHING
    """What its request begins with."""
    parks: bool = False
    """Whether its request decodes no further for now; such a row has no tokens."""
    stows: bool = False
    """Whether its KV goes to host memory, up to its position; such a row has no tokens."""
    fetches: bool = False
    """Whether its KV is to come back from there; where it has no tokens, with the next decode."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows and what they bring: first those that bring token ids, then those with activations."""

    rows: tuple[Row, ...]
    token_ids: Tensor | None = None
    """One id a token."""
    hidden: Tensor | None = None
    """One activation a token."""
    logprobs: tuple[Logprobs | None, ...] = ()
    """One a row, in what a last stage says of its tokens; nothing if nobody asks for them."""
    prompt_logprobs: tuple[tuple[Logprobs, ...], ...] = ()
    """Likewise those of the prompt's tokens after those that the row brought."""

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


def single_rows(batch: Batch) -> Iterator[Batch]:
    """Yield each row of a batch alone, with what it brings."""
    ids, hidden = batch.token_ids, batch.hidden
    num_ids, first = 0 if ids is None else len(ids), 0
    for row in batch.rows:
        end = first + row.tokens
        if first == end:
            yield Batch((row,))
        elif ids is not None and first < num_ids:
            yield Batch((row,), ids[first:end])
        elif hidden is not None:
            yield Batch((row,), hidden=hidden[first - num_ids : end - num_ids])
        first = end


def cut(batch: Batch, tokens: int) -> tuple[Batch, Batch]:
    """Cut a batch of one row of a prompt after so many tokens."""
    (row,), ids, hidden = batch.rows, batch.token_ids, batch.hidden
    first = replace(row, tokens=tokens, samples=False)
    rest = replace(row, position=row.position + tokens, tokens=row.tokens - tokens)
    early = [None if part is None else part[:tokens] for part in (ids, hidden)]
    late = [None if part is None else part[tokens:] for part in (ids, hidden)]
    return (
        Batch((first,), token_ids=early[0], hidden=early[1]),
        Batch((rest,), token_ids=late[0], hidden=late[1]),
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


def whole_blocks(tokens: int) -> int:
    """Return how many of so many tokens are in whole blocks."""
    return tokens // BLOCK_TOKENS * BLOCK_TOKENS


def sampled(row: Row) -> Row:
    """Return the row that carries the token drawn after this one."""
    position = row.position + row.tokens
    return replace(row, position=position, tokens=1, samples=False, decodes=True)


def passed(row: Row) -> Row:
    """Return the row that says how far a prompt is through all stages; it has no tokens."""
    return replace(row, position=row.position + row.tokens, tokens=0)


def _concatenate(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
