"""A leader's mailbox: what has arrived becomes a batch, and its output goes to the next hop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.step import next_step
from hexplan_runtime.batch import MAX_ROWS, Batch, Row, merge, passed, sampled, single_rows
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.transport import Receives
from hexplan_runtime.request import Logprobs
from hexplan_runtime.stage.edges import Ends, route_edges
from hexplan_runtime.stage.logprobs import logprobs_of
from hexplan_runtime.stage.rounds import Rounds
from hexplan_runtime.stage.sampling import sample
from hexplan_runtime.stage.stage import Output
from hexplan_runtime.stage.waiting_row import WaitingRow
from hexplan_runtime.stage.way_back import WayBack

Loss = PeerLost | HexplanError


def drain(receiver: Receives, deliver: Callable[[Batch | Loss], None]) -> Thread:
    """Start a thread that takes every batch off an edge at once, until the edge is lost."""

    def run() -> None:
        try:
            while True:
                deliver(receiver.receive())
        except (PeerLost, HexplanError) as loss:
            deliver(loss)

    thread = Thread(target=run, daemon=True, name="drain")
    thread.start()
    return thread


class Inbox:
    """Gathers what arrives on all edges of a stage into steps within the plan's limits."""

    def __init__(self, plan: Plan, stage: str, ends: Ends) -> None:
        self._limits = step_limits_of(plan)
        self._queue: SimpleQueue[_Delivery] = SimpleQueue()
        self._waiting: list[WaitingRow] = []
        self._rounds = Rounds(plan, stage)
        ends_of_stages = {stage.id: stage.layers[1] for stage in plan.stages} | {ENTRY: 0}
        for source, receiver in ends.receivers.items():
            drain(receiver, self._deliver_from(ends_of_stages[source]))
        for receiver in ends.back_receivers.values():
            drain(receiver, self.put_back)

    def next_batch(self) -> Batch:
        """Wait until something is here, and return the part of it that one step may hold.

        The rows stand in the order of the layer where they enter; one request's rows keep their
        order.
        """
        while True:
            while not self._queue.empty():
                self._take(self._queue.get())
            self._waiting += [WaitingRow(0, batch) for batch in self._rounds.take()]
            if self._waiting:
                break
            self._take(self._queue.get())
        taken, self._waiting = next_step(self._waiting, self._limits, MAX_ROWS)
        taken.sort(key=lambda waiting: waiting.enter_layer)
        return merge([waiting.batch for waiting in taken])

    def put_back(self, batch: Batch | Loss) -> None:
        """Take tokens that come back from the last stage of a route that begins here."""
        self._queue.put(_Delivery(0, batch, is_back=True))

    def _take(self, delivery: _Delivery) -> None:
        """Take the rows of a batch in; the end of a request goes ahead, and drops its others."""
        batch = delivery.batch
        if isinstance(batch, Exception):
            raise batch
        note = self._rounds.come_back if delivery.is_back else self._rounds.enter
        here = [kept for single in single_rows(batch) if (kept := note(single)) is not None]
        rows = [WaitingRow(delivery.enter_layer, single) for single in here]
        ended = {waiting.row.request: waiting for waiting in rows if waiting.row.closes}
        if ended:
            left = [one for one in (*self._waiting, *rows) if one.row.request not in ended]
            self._waiting = [*ended.values(), *left]
        else:
            self._waiting += rows

    def _deliver_from(self, enter_layer: int) -> Callable[[Batch | Loss], None]:
        return lambda batch: self._queue.put(_Delivery(enter_layer, batch))


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What came over an edge."""

    enter_layer: int
    batch: Batch | Loss
    is_back: bool = False
    """Whether it comes back from a last stage."""


class Outbox:
    """Sends each row of a stage's output to the next hop of its route."""

    def __init__(self, plan: Plan, stage: str, ends: Ends, keep: Callable[[Batch], None]) -> None:
        self._senders = ends.senders
        self._way_back = WayBack(plan, stage, ends, keep)
        self._next_by_route = tuple(
            dict(route_edges(plan, route)).get(stage) for route in range(len(plan.routes))
        )

    def send(self, batch: Batch, output: Output) -> None:
        """Send what the stage made of a batch."""
        if EXIT in self._senders:
            self._send_tokens(batch, output)
        else:
            self._send_hidden(batch, output.hidden)

    def _send_tokens(self, batch: Batch, output: Output) -> None:
        """Sample, and send the tokens to the launcher, and what it waits for besides."""
        sampling = [row for row in batch.rows if row.samples]
        ids, chosen = None, list[int]()
        told: tuple[Logprobs | None, ...] = ()
        if output.logits is not None:
            ids = sample(output.logits, sampling)
            chosen = ids.tolist()
        self._way_back.send(batch.rows, chosen)
        if output.logits is not None and ids is not None:
            told = logprobs_of(output.logits, ids, sampling)
        rows = [sampled(row) for row in sampling]
        rows += [passed(row) for row in batch.rows if row.tokens and not row.samples]
        rows += [row for row in batch.rows if row.closes]
        told += (None,) * (len(rows) - len(sampling)) if told else ()
        self._senders[EXIT].send(Batch(tuple(rows), ids, logprobs=told))

    def _send_hidden(self, batch: Batch, hidden: Tensor) -> None:
        """Send the activations on, prompts last, so that the next stage can start on decodes.

        A row that closes a request meets no other of it here, so that it may go first, too.
        """
        targets = [self._next_by_route[row.route] for row in batch.rows]
        pairs = list(zip(batch.rows, targets, strict=True))
        messages = [
            _Message(target, is_late=row.tokens > 0 and not row.decodes) for row, target in pairs
        ]
        for message in sorted(dict.fromkeys(messages), key=lambda message: message.is_late):
            assert message.target is not None
            goes = [other == message for other in messages]
            self._senders[message.target].send(_part(batch.rows, hidden, goes))


@dataclass(frozen=True, slots=True)
class _Message:
    """Rows that are sent together."""

    target: str | None
    is_late: bool
    """Whether they are sent after all others."""


def _part(rows: tuple[Row, ...], hidden: Tensor, goes: list[bool]) -> Batch:
    """Return the rows that go, with their activations."""
    if not all(goes):
        token_goes = [go for row, go in zip(rows, goes, strict=True) for _ in range(row.tokens)]
        hidden = hidden[torch.tensor(token_goes, dtype=torch.bool)]
        rows = tuple(row for row, go in zip(rows, goes, strict=True) if go)
    return Batch(rows, hidden=hidden if len(hidden) else None)
