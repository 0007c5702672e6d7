"""Extras: what few rows bring, as bytes after the records of a frame.

Most requests pick their tokens by the few numbers that every request's terms have. What another
asks beyond them follows here, once for each edge, so that it costs the others nothing.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, Final

from hexplan.errors import HexplanError
from hexplan_runtime.request import Sampling

_MORE: Final = struct.Struct("<dqq")
"""`min_p`, `barred_until`, and how many ids are barred."""
_MOST_ID: Final = 2**63 - 1


def packed_more(sampling: Sampling) -> bytes:
    """Return what a request asks beyond its terms, in whole words; nothing if it does not."""
    if not (sampling.min_p or sampling.barred_ids):
        return b""
    barred = [token for token in sampling.barred_ids if 0 <= token <= _MOST_ID]
    numbers = sampling.min_p, sampling.barred_until, len(barred)
    return _MORE.pack(*numbers) + struct.pack(f"<{len(barred)}q", *barred)


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
        min_p, until, num_barred = self._take(_MORE)
        barred = self._take_words("q", num_barred)
        return replace(terms, min_p=min_p, barred_ids=barred, barred_until=until)

    def _take_words(self, kind: str, count: int) -> tuple[Any, ...]:
        if not 0 <= 8 * count <= len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        return self._take(struct.Struct(f"<{count}{kind}"))

    def _take(self, form: struct.Struct) -> tuple[Any, ...]:
        if form.size > len(self._data) - self._at:
            raise HexplanError("a message arrived that is cut off")
        found = form.unpack_from(self._data, self._at)
        self._at += form.size
        return found
