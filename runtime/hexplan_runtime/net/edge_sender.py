"""The sending end of an edge between processes, which never makes its caller wait for the peer.

Stages go on with other routes while one peer is slow. What waits here is bounded by what the router
lets into a route (`engine.feeding`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from threading import Condition, Thread
from typing import Final, Protocol

from hexplan_runtime.batch import Batch, Row, merge, single_rows

_RETRY_S: Final = 0.001
"""How often to look for room on a link that is full; a message that fills one takes longer."""
_IN_A_ROW: Final = 8
"""Batches that may pass a prompt before it is its turn."""


class Link(Protocol):
    """What sends to one peer, and says whether it would have to wait."""

    @property
    def epoch(self) -> int:
        """That of the edge, as far as this end knows."""

    @property
    def has_room(self) -> bool:
        """Whether the next batch would go at once."""

    def send(self, batch: Batch) -> None:
        """Send a batch, once there is room for it."""

    def begin_epoch(self, epoch: int) -> None:
        """Begin anew, as the process at the other end does; it drops what was sent before."""

    def forget(self, requests: Collection[int]) -> None:
        """Forget requests that are over without an end of theirs having been sent."""

    def close(self) -> None:
        """Give up what is not sent yet."""


class EdgeSender:
    """Sends decodes and ends of requests ahead of prompts; each request keeps its order."""

    def __init__(self, link: Link) -> None:
        self.hear: Callable[[Batch], None] | None = None
        """Takes each batch when its sending begins."""
        self._link = link
        self._changed = Condition()
        self._urgent: deque[Batch] = deque()
        self._prompts: deque[Batch] = deque()
        self._passed_by = 0
        self._is_closed = False
        Thread(target=self._send_later, daemon=True, name="edge sender").start()

    def send(self, batch: Batch) -> None:
        """Send a batch as soon as the link is free."""
        with self._changed:
            ended = {row.request for row in batch.rows if row.closes}
            if ended and self._prompts:
                self._prompts = deque(_without(self._prompts, ended))
            brings_prompt = any(row.tokens and not row.decodes for row in batch.rows)
            (self._prompts if brings_prompt else self._urgent).append(batch)
            self._send_what_fits()
            if self._has_waiting:
                self._changed.notify()

    def renew(self, epoch: int, is_over: Callable[[Row], bool], ended: Collection[int]) -> None:
        """Drop what waits of requests that are over, and all of it if a new epoch begins.

        Parameters
        ----------
        epoch
            That of the edge; it rises when the process at the other end is another one.
        ended
            Requests that are over without an end of theirs having been sent.
        """
        with self._changed:
            waiting = *self._urgent, *self._prompts
            over = {row.request for batch in waiting for row in batch.rows if is_over(row)}
            if epoch > self._link.epoch:
                self._link.begin_epoch(epoch)
                self._urgent.clear()
                self._prompts.clear()
            else:
                self._urgent = deque(_without(self._urgent, over))
                self._prompts = deque(_without(self._prompts, over))
            self._link.forget(ended)

    def close(self) -> None:
        """Send no more, and let the thread end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def hang_up(self) -> None:
        """Send no more, and close the link: the edge is over."""
        self.close()
        with self._changed:
            self._link.close()

    @property
    def _has_waiting(self) -> bool:
        return bool(self._urgent or self._prompts)

    def _send_what_fits(self) -> None:
        """Send as far as the link has room; the lock is held."""
        while not self._is_closed and self._has_waiting and self._link.has_room:
            batch = self._next()
            if self.hear is not None:
                self.hear(batch)
            self._link.send(batch)

    def _next(self) -> Batch:
        is_prompts_turn = self._prompts and self._passed_by >= _IN_A_ROW
        if self._urgent and not is_prompts_turn:
            self._passed_by += 1
            return self._urgent.popleft()
        self._passed_by = 0
        return self._prompts.popleft()

    def _send_later(self) -> None:
        """Send what found no room at first."""
        while True:
            with self._changed:
                self._send_what_fits()
                while not self._has_waiting and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
            time.sleep(_RETRY_S)


def _without(batches: Collection[Batch], requests: Collection[int]) -> list[Batch]:
    """Return the batches without the rows of these requests."""
    kept = []
    for batch in batches:
        if any(row.request in requests for row in batch.rows):
            rest = [one for one in single_rows(batch) if one.rows[0].request not in requests]
            if rest:
                kept.append(merge(rest))
        else:
            kept.append(batch)
    return kept
