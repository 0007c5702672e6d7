"""Work: how long requests would take alone, by which queueing compares them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

_MOST_TOKENS: Final = 2**31


class Work:
    """Predicted seconds of prompts and decodes of a request that meets no other.

    Parameters
    ----------
    pass_s
        Seconds of a pass of a prompt of so many tokens through all stages.
    decode_s
        Seconds of a round of one decode.
    """

    def __init__(self, pass_s: Callable[[int], float], decode_s: float) -> None:
        self._pass_s = pass_s
        self.decode_s = decode_s
        """Seconds of a round of one decode: the shortest time in which anything happens."""
        self._grid: list[int] = []
        self._times_s: list[float] = []

    def prompt_s(self, tokens: int) -> float:
        """Return the seconds of a prompt, between those of powers of two in proportion."""
        while not self._grid or self._grid[-1] < min(tokens, _MOST_TOKENS):
            self._grid.append(2 * self._grid[-1] if self._grid else 1)
            # A pass of any size takes as long as that of a decode: it reads the weights.
            self._times_s.append(max(self.decode_s, self._pass_s(self._grid[-1])))
        at = bisect_left(self._grid, tokens)
        if self._grid[at] == tokens:
            return self._times_s[at]
        first, end = self._grid[at - 1], self._grid[at]
        before_s, after_s = self._times_s[at - 1], self._times_s[at]
        return before_s + (after_s - before_s) * (tokens - first) / (end - first)

    def request_s(self, prompt_tokens: int, output_tokens: int) -> float:
        """Return the seconds of a whole request; its prompt's pass gives the first token."""
        return self.prompt_s(prompt_tokens) + (output_tokens - 1) * self.decode_s
