"""The sending end of an edge between processes, which never makes its caller wait for the peer.

Stages go on with other routes while one peer is slow. What waits here is bounded by what the router
lets into a route (`engine.feeding`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from threading import Condition, Thread
from typing import Final

from torch import Tensor
from torch._C._distributed_c10d import Work

from hexplan_runtime.batch import Batch, merge, single_rows
from hexplan_runtime.net.gloo import Group, PeerLost, finish
from hexplan_runtime.net.transport import RECEIVER
from hexplan_runtime.net.wire import Encoder, WireFormat

_UNDER_WAY: Final = 2
"""One batch on its way and one behind it keep a link busy; others wait where decodes can pass."""
_IN_A_ROW: Final = 8
"""Batches that may pass a prompt before it is its turn."""


class EdgeSender:
    """Sends decodes and ends of requests ahead of prompts; each request keeps its order."""

    def __init__(self, group: Group, wire_format: WireFormat) -> None:
        self.hear: Callable[[Batch], None] | None = None
        """Takes each batch when its sending begins."""
        self._group, self._encoder = group, Encoder(wire_format)
        self._changed = Condition()
        self._urgent: deque[Batch] = deque()
        self._prompts: deque[Batch] = deque()
        self._passed_by = 0
        self._under_way: deque[list[tuple[Work, Tensor]]] = deque()
        self._loss: PeerLost | None = None
        self._is_closed = False
        Thread(target=self._finish_all, daemon=True, name="edge sender").start()

    def send(self, batch: Batch) -> None:
        """Send a batch as soon as the link is free.

        Raises
        ------
        PeerLost
            The peer is gone; this may be noticed only some batches later.
        """
        with self._changed:
            if self._loss is not None:
                raise PeerLost(str(self._loss))
            ended = {row.request for row in batch.rows if row.closes}
            if ended and self._prompts:
                self._prompts = deque(_without(self._prompts, ended))
            brings_prompt = any(row.tokens and not row.decodes for row in batch.rows)
            (self._prompts if brings_prompt else self._urgent).append(batch)
            self._start()

    def close(self) -> None:
        """Send no more, and let the thread end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _start(self) -> None:
        """Start to send as far as the link is free; the lock is held."""
        while len(self._under_way) < _UNDER_WAY and (self._urgent or self._prompts):
            batch = self._next()
            if self.hear is not None:
                self.hear(batch)
            messages = self._encoder.pack(batch)
            # gloo needs handles and tensors until the peer has the message.
            sent = [(self._group.start_send(part, RECEIVER), part) for part in messages]
            self._under_way.append(sent)
            self._changed.notify()

    def _next(self) -> Batch:
        is_prompts_turn = self._prompts and self._passed_by >= _IN_A_ROW
        if self._urgent and not is_prompts_turn:
            self._passed_by += 1
            return self._urgent.popleft()
        self._passed_by = 0
        return self._prompts.popleft()

    def _finish_all(self) -> None:
        try:
            while (sent := self._wait_for_oldest()) is not None:
                for work, _ in sent:
                    finish(work)
                with self._changed:
                    self._under_way.popleft()
                    self._start()
        except PeerLost as loss:
            with self._changed:
                self._loss = loss

    def _wait_for_oldest(self) -> list[tuple[Work, Tensor]] | None:
        with self._changed:
            while not self._under_way and not self._is_closed:
                self._changed.wait()
            return None if self._is_closed else self._under_way[0]


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
