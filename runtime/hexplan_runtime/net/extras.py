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
from hexplan_runtime.request import MOST_LOGPROBS, Logprobs, Sampling, TokenLogprob

_MORE: Final = struct.Struct("<dqqq")
"""`min_p`, `barred_until`, `top_logprobs` or -1, and how many ids are barred."""
_COUNT: Final = struct.Struct("<q")
_LOGPROB: Final = struct.Struct("<If")
"""A token id and its logprob; of the chosen token, how many others follow instead of its id."""
_MOST_ID: Final = 2**63 - 1


def packed_more(sampling: Sampling) -> bytes:
    """Return what a request asks beyond its terms, in whole words; nothing if it does not."""
    told = sampling.top_logprobs
    barring = sampling.barred_ids or sampling.barred_until
    if not (sampling.min_p or barring or told is not None):
        return b""
    barred = [token for token in sampling.barred_ids if 0 <= token <= _MOST_ID]
    until = sampling.barred_until
    numbers = _MORE.pack(sampling.min_p, until, -1 if told is None else told, len(barred))
    return numbers + struct.pack(f"<{len(barred)}q", *barred)


def packed_ids(ids: Sequence[int]) -> bytes:
    """Return ids with their number; those that no token can have are left out."""
    sent = [token for token in ids if 0 <= token <= _MOST_ID]
    return struct.pack(f"<{len(sent) + 1}q", len(sent), *sent)


def packed_logprobs(told: Logprobs) -> bytes:
    """Return what is told of a token, in whole words."""
    others = (_LOGPROB.pack(one.token_id, one.logprob) for one in told.likeliest)
    return b"".join((_LOGPROB.pack(len(told.likeliest), told.chosen), *others))


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
        min_p, until, told, num_barred = self._take(_MORE)
        if not 0 <= 8 * num_barred <= len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        barred = self._take(struct.Struct(f"<{num_barred}q"))
        more = replace(terms, min_p=min_p, barred_ids=barred, barred_until=until)
        return replace(more, top_logprobs=None if told == -1 else told)

    def ids(self) -> tuple[int, ...]:
        """Return ids."""
        (count,) = self._take(_COUNT)
        if not 0 <= 8 * count <= len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        return self._take(struct.Struct(f"<{count}q"))

    def logprobs(self) -> Logprobs:
        """Return what is told of a token."""
        count, chosen = self._take(_LOGPROB)
        if count > MOST_LOGPROBS:
            raise HexplanError("a message arrived that tells more logprobs than anybody may ask")
        return Logprobs(chosen, tuple(TokenLogprob(*self._take(_LOGPROB)) for _ in range(count)))

    def _take(self, form: struct.Struct) -> tuple[Any, ...]:
        if form.size > len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        found = form.unpack_from(self._data, self._at)
        self._at += form.size
        return found
