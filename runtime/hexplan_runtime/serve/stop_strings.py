"""Stop strings: text that ends a continuation, even if it comes in several tokens."""

from __future__ import annotations

from collections.abc import Sequence


class StopFinder:
    """Passes text on as it comes, and holds back what may be the beginning of a stop string.

    Parameters
    ----------
    keeps
        Whether the stop string is part of the text.
    """

    def __init__(self, stops: Sequence[str], *, keeps: bool = False) -> None:
        self._stops = tuple(stops)
        self._keeps = keeps
        self._held = ""
        self.has_stopped = False
        """Whether a stop string has come; nothing is passed on afterwards."""

    def add(self, text: str) -> str:
        """Return the text that surely belongs to the continuation."""
        if self.has_stopped:
            return ""
        text = self._held + text
        ends = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            # The one that is complete first, as a reader of single characters would find it.
            at, stop = min(ends, key=lambda end: (end[0] + len(end[1]), end[0]))
            self.has_stopped, self._held = True, ""
            return text[: at + len(stop)] if self._keeps else text[:at]
        cut = len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """Return what is held back, as no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of the text begin the stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
