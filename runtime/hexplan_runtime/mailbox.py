"""A leader's mailbox: what has arrived is the next batch, what was run goes to the next hop."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

import torch
from torch import Tensor

from hexplan.cost.memory import step_tokens
from hexplan.errors import HexplanError
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan_runtime.batch import MAX_ROWS, Batch, Limits, Row, fits, merge, sampled
from hexplan_runtime.edges import Ends, route_edges
from hexplan_runtime.gloo import PeerLost
from hexplan_runtime.sampling import sample
from hexplan_runtime.stage import Output
from hexplan_runtime.transport import Receives

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
    """Gathers what arrives on all edges of a stage into batches of bounded size."""

    def __init__(self, plan: Plan, ends: Ends) -> None:
        self._limits = Limits(MAX_ROWS, step_tokens(plan.cluster, plan.workload))
        self._queue: SimpleQueue[tuple[int, Batch | Loss]] = SimpleQueue()
        self._held: tuple[int, Batch] | None = None
        ends_of_stages = {stage.id: stage.layers[1] for stage in plan.stages} | {ENTRY: 0}
        for source, receiver in ends.receivers.items():
            drain(receiver, self._deliver_from(ends_of_stages[source]))

    def next_batch(self) -> Batch:
        """Wait for a batch, and add what else is here as far as it fits.

        The rows stand in the order of the layer where they enter; one request's rows keep their
        order.
        """
        first = self._held or self._take(wait=True)
        assert first is not None
        self._held = None
        arrivals = [first]
        while (arrival := self._take(wait=False)) is not None:
            if not fits([batch for _, batch in arrivals], arrival[1], self._limits):
                self._held = arrival
                break
            arrivals.append(arrival)
        return merge([batch for _, batch in sorted(arrivals, key=lambda arrival: arrival[0])])

    def _take(self, wait: bool) -> tuple[int, Batch] | None:
        try:
            enter_layer, batch = self._queue.get(block=wait)
        except Empty:
            return None
        if isinstance(batch, Exception):
            raise batch
        return enter_layer, batch

    def _deliver_from(self, enter_layer: int) -> Callable[[Batch | Loss], None]:
        return lambda batch: self._queue.put((enter_layer, batch))


class Outbox:
    """Sends each row of a stage's output to the next hop of its route."""

    def __init__(self, plan: Plan, stage: str, ends: Ends) -> None:
        self._senders = ends.senders
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
        """Sample, and send the tokens and the closing rows to the launcher."""
        sampling = [row for row in batch.rows if row.samples]
        ids = None if output.logits is None else sample(output.logits, sampling)
        rows = tuple(sampled(row) for row in sampling)
        closing = tuple(row for row in batch.rows if row.closes)
        if rows or closing:
            self._senders[EXIT].send(Batch(rows + closing, ids))

    def _send_hidden(self, batch: Batch, hidden: Tensor) -> None:
        targets = [self._next_by_route[row.route] for row in batch.rows]
        for target in dict.fromkeys(targets):
            assert target is not None
            goes = [found == target for found in targets]
            self._senders[target].send(_part(batch.rows, hidden, goes))


def _part(rows: tuple[Row, ...], hidden: Tensor, goes: list[bool]) -> Batch:
    """Return the rows that go one way, with their activations."""
    if not all(goes):
        token_goes = [go for row, go in zip(rows, goes, strict=True) for _ in range(row.tokens)]
        hidden = hidden[torch.tensor(token_goes, dtype=torch.bool)]
        rows = tuple(row for row, go in zip(rows, goes, strict=True) if go)
    return Batch(rows, hidden=hidden if len(hidden) else None)
