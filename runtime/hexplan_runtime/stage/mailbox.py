"""A leader's mailbox: what has arrived becomes a batch, and its output goes to the next hop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

import torch
from torch import Tensor

from hexplan.cluster import COORDINATOR
from hexplan.errors import HexplanError
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.micro_batches import hold_s
from hexplan.schedule.step import next_step
from hexplan_runtime.batch import MAX_ROWS, Batch, Row, merge, passed, sampled, single_rows
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.transport import Receives
from hexplan_runtime.request import Logprobs
from hexplan_runtime.sampling.steering import Steering
from hexplan_runtime.stage.edges import Ends, route_edges
from hexplan_runtime.stage.logprobs import logprobs_of
from hexplan_runtime.stage.sampling import sample
from hexplan_runtime.stage.stage import Output
from hexplan_runtime.stage.waiting_row import WaitingRow

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
        is_whole_route = set(ends.receivers) == {ENTRY} and set(ends.senders) == {EXIT}
        self._hold = _Hold(plan, stage) if is_whole_route else None
        ends_of_stages = {stage.id: stage.layers[1] for stage in plan.stages} | {ENTRY: 0}
        for source, receiver in ends.receivers.items():
            drain(receiver, self._deliver_from(ends_of_stages[source]))

    def next_batch(self) -> Batch:
        """Wait until something is here, and return the part of it that one step may hold.

        The rows stand in the order of the layer where they enter; one request's rows keep their
        order.
        """
        if self._hold is not None:
            self._wait_for_tokens(self._hold.end_step())
        while not (self._waiting and self._queue.empty()):
            self._take(self._queue.get())
        taken, self._waiting = next_step(self._waiting, self._limits, MAX_ROWS)
        taken.sort(key=lambda waiting: waiting.enter_layer)
        if self._hold is not None:
            self._hold.begin_step(gives_tokens=any(waiting.row.samples for waiting in taken))
        return merge([waiting.batch for waiting in taken])

    def _wait_for_tokens(self, deadline_s: float) -> None:
        """Wait for tokens of the last step, or the end of a request, where none is here."""
        while not any(waiting.row.decodes or waiting.row.closes for waiting in self._waiting):
            left_s = deadline_s - monotonic()
            try:
                delivery = self._queue.get(timeout=left_s) if left_s > 0 else None
            except Empty:
                delivery = None
            if delivery is None:
                return
            self._take(delivery)

    def _take(self, delivery: _Delivery) -> None:
        """Take the rows of a batch in; the end of a request goes ahead, and drops its others."""
        batch = delivery.batch
        if isinstance(batch, Exception):
            raise batch
        rows = [WaitingRow(delivery.enter_layer, single) for single in single_rows(batch)]
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


class _Hold:
    """Until when a stage that is a whole route waits for the tokens of its last step."""

    def __init__(self, plan: Plan, stage: str) -> None:
        host = next(planned.host for planned in plan.stages if planned.id == stage)
        ways = (COORDINATOR, host), (host, COORDINATOR)
        links = [plan.cluster.link(*ends) for ends in ways]
        self._away_s = sum(float(link.latency_s) for link in links if link is not None)
        self._begun_s = 0.0
        self._gives_tokens = False

    def begin_step(self, *, gives_tokens: bool) -> None:
        """Note that a step begins, and whether tokens come of it."""
        self._begun_s, self._gives_tokens = monotonic(), gives_tokens

    def end_step(self) -> float:
        """Return the time until which to wait now that the step has ended."""
        now_s = monotonic()
        return now_s + hold_s(now_s - self._begun_s, self._away_s) * self._gives_tokens


class Outbox:
    """Sends each row of a stage's output to the next hop of its route."""

    def __init__(self, plan: Plan, stage: str, ends: Ends, steering: Steering) -> None:
        self._senders = ends.senders
        self._steering = steering
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
        of_prompts = output.prompt_logprobs or ((),) * len(batch.rows)
        pairs = list(zip(batch.rows, of_prompts, strict=True))
        drawing = [pair for pair in pairs if pair[0].samples]
        passing = [pair for pair in pairs if pair[0].tokens and not pair[0].samples]
        closing = [row for row in batch.rows if row.closes]
        sampling = [row for row, _ in drawing]
        ids: Tensor | None = None
        told: tuple[Logprobs | None, ...] = ()
        if output.logits is not None:
            logits = self._steering.steered(output.logits, sampling)
            ids = sample(logits, sampling)
            self._steering.note(sampling, ids)
            told = logprobs_of(output.logits, ids, sampling)
        for row in closing:
            self._steering.forget(row.request)
        rows = [sampled(row) for row in sampling]
        rows += [passed(row) for row, _ in passing]
        rows += closing
        told += (None,) * (len(rows) - len(sampling)) if told else ()
        prompts = [told_of for _, told_of in (*drawing, *passing)] if output.prompt_logprobs else []
        prompts += [()] * len(closing) if prompts else []
        self._senders[EXIT].send(Batch(tuple(rows), ids, None, told, tuple(prompts)))

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
