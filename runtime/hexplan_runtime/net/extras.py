"""Extras: what few rows bring, as bytes after the records of a frame.

Most requests pick their tokens by the few numbers that every request's terms have. What another
asks beyond them follows here, once for each edge, so that it costs the others nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hexplan.errors import HexplanError
from hexplan_runtime.batch import Prefix
from hexplan_runtime.request import (
    MOST_LOGPROBS,
    History,
    Logprobs,
    Penalties,
    Sampling,
    TokenBias,
    TokenLogprob,
)

_MORE: Final = struct.Struct("<dqqqdddqqqqq")
"""`min_p`, `barred_until`, `top_logprobs` or -1, how many ids are barred, the penalties,
`prompt_logprobs` or -1, how many biases, bytes of grammar and tokens of history there are, and how
many of these are the prompt's, or -1 without a history."""
_BIAS: Final = struct.Struct("<qd")
_COUNT: Final = struct.Struct("<q")
_LOGPROB: Final = struct.Struct("<If")
"""A token id and its logprob; of the chosen token, how many others follow instead of its id."""
_COUNTS: Final = struct.Struct("<II")
"""How many tokens of a prompt are told of, or the rank of one of them; and nothing."""
_WORD_BYTES: Final = 8
_MOST_ID: Final = 2**63 - 1


def packed_more(sampling: Sampling) -> bytes:
    """Return what a request asks beyond its terms, in whole words; nothing if it does not."""
    terms = Sampling(sampling.temperature, sampling.top_k, sampling.top_p, sampling.seed)
    if sampling == terms:
        return b""
    barred = [token for token in sampling.barred_ids if 0 <= token <= _MOST_ID]
    grammar = sampling.grammar.encode()
    penalties, history = sampling.penalties, sampling.history
    ids = () if history is None else history.ids
    numbers = _MORE.pack(
        *(sampling.min_p, sampling.barred_until, _or_none(sampling.top_logprobs), len(barred)),
        *(penalties.repetition, penalties.presence, penalties.frequency),
        *(_or_none(sampling.prompt_logprobs), len(sampling.biases), len(grammar), len(ids)),
        -1 if history is None else history.num_prompt,
    )
    biases = b"".join(_BIAS.pack(one.token_id, one.bias) for one in sampling.biases)
    words = _words(len(barred)).pack(*barred), biases, _words(len(ids)).pack(*ids)
    return b"".join((numbers, *words, grammar, bytes(-len(grammar) % _WORD_BYTES)))


def packed_ids(ids: Sequence[int]) -> bytes:
    """Return ids with their number; those that no token can have are left out."""
    sent = [token for token in ids if 0 <= token <= _MOST_ID]
    return struct.pack(f"<{len(sent) + 1}q", len(sent), *sent)


def packed_logprobs(told: Logprobs) -> bytes:
    """Return what is told of a token, in whole words."""
    others = (_LOGPROB.pack(one.token_id, one.logprob) for one in told.likeliest)
    return b"".join((_LOGPROB.pack(len(told.likeliest), told.chosen), *others))


def packed_prompt_logprobs(told: tuple[Logprobs, ...]) -> bytes:
    """Return what is told of tokens of a prompt, in whole words."""
    each = (_COUNTS.pack(one.rank, 0) + packed_logprobs(one) for one in told)
    return b"".join((_COUNTS.pack(len(told), 0), *each))


class ExtrasReader:
    """Reads extras in the order in which they were packed."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether all is read."""
        return self._at == len(self._data)

    def sampling(self, terms: Sampling) -> Sampling:
        """Return how a request picks its tokens, of which the terms are known."""
        min_p, until, top, num_barred, *penalties, prompt, num_biases, num_bytes, num_ids, first = (
            self._take(_MORE)
        )
        barred = self._numbers(num_barred)
        self._require(num_biases, _BIAS.size)
        biases = tuple(TokenBias(*self._take(_BIAS)) for _ in range(num_biases))
        ids = self._numbers(num_ids)
        return replace(
            terms,
            min_p=min_p,
            barred_ids=barred,
            barred_until=until,
            top_logprobs=None if top == -1 else top,
            penalties=Penalties(*penalties),
            biases=biases,
            grammar=self._text(num_bytes),
            prompt_logprobs=None if prompt == -1 else prompt,
            history=None if first == -1 else History(ids, first),
        )

    def ids(self) -> tuple[int, ...]:
        """Return ids."""
        (count,) = self._take(_COUNT)
        if not 0 <= 8 * count <= len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        return self._take(struct.Struct(f"<{count}q"))

    def prefix(self) -> Prefix:
        """Return what a request begins with."""
        numbers = self.ids()
        if not numbers:
            raise HexplanError("a message arrived that is cut off")
        return Prefix(numbers[0], numbers[1:])

    def logprobs(self) -> Logprobs:
        """Return what is told of a token."""
        count, chosen = self._take(_LOGPROB)
        if count > MOST_LOGPROBS:
            raise HexplanError("a message arrived that tells more logprobs than anybody may ask")
        return Logprobs(chosen, tuple(TokenLogprob(*self._take(_LOGPROB)) for _ in range(count)))

    def prompt_logprobs(self) -> tuple[Logprobs, ...]:
        """Return what is told of tokens of a prompt."""
        count, _ = self._take(_COUNTS)
        self._require(count, _COUNTS.size + _LOGPROB.size)
        return tuple(self._ranked() for _ in range(count))

    def _ranked(self) -> Logprobs:
        rank, _ = self._take(_COUNTS)
        return replace(self.logprobs(), rank=rank)

    def _numbers(self, count: int) -> tuple[int, ...]:
        self._require(count, _WORD_BYTES)
        return self._take(_words(count))

    def _text(self, num_bytes: int) -> str:
        self._require(num_bytes, 1)
        padded = struct.Struct(f"<{num_bytes}s{-num_bytes % _WORD_BYTES}x")
        return str(self._take(padded)[0], "utf-8")

    def _require(self, count: int, each_bytes: int) -> None:
        """Refuse a count of more than what is left."""
        if not 0 <= each_bytes * count <= len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")

    def _take(self, form: struct.Struct) -> tuple[Any, ...]:
        if form.size > len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        found = form.unpack_from(self._data, self._at)
        self._at += form.size
        return found


def _words(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}q")


def _or_none(told: int | None) -> int:
    return -1 if told is None else told
