"""A leader's mailbox: what has arrived becomes a batch, and its output goes to the next hop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan_runtime.batch import Batch, Row, passed, sampled
from hexplan_runtime.net.gloo import EdgeOver, PeerLost
from hexplan_runtime.net.transport import Receives
from hexplan_runtime.request import Logprobs
from hexplan_runtime.sampling.steering import Steering
from hexplan_runtime.stage.edges import Ends, route_edges
from hexplan_runtime.stage.logprobs import logprobs_of
from hexplan_runtime.stage.messages import Renewal
from hexplan_runtime.stage.renewing import Renewing
from hexplan_runtime.stage.sampling import sample
from hexplan_runtime.stage.stage import Output
from hexplan_runtime.stage.step_queue import StepQueue
from hexplan_runtime.stage.way_back import WayBack

Loss = PeerLost | HexplanError


def drain(receiver: Receives, deliver: Callable[[Batch | Loss], None]) -> Thread:
    """Start a thread that takes every batch off an edge at once, until the edge is lost."""

    def run() -> None:
        try:
            while True:
                deliver(receiver.receive())
        except EdgeOver:
            return
        except (PeerLost, HexplanError) as loss:
            deliver(loss)

    thread = Thread(target=run, daemon=True, name="drain")
    thread.start()
    return thread


class Inbox:
    """Takes what arrives on all edges of a stage, and gives it out in steps."""

    def __init__(
        self,
        plan: Plan,
        stage: str,
        ends: Ends,
        renewed: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._steps = StepQueue(plan, stage)
        self._renewing = Renewing(plan, stage, ends, self._steps, renewed)
        self.is_ending = False
        """Whether what was given out last only ends requests that are over elsewhere."""
        self._arrived: SimpleQueue[_Delivery | Renewal | Callable[[], None]] = SimpleQueue()
        self._ends = ends
        self._drained: set[Receives] = set()
        self._drain_all(plan)

    def next_batch(self) -> Batch:
        """Wait until something is here, and return the part of it that one step may hold."""
        while True:
            while not self._arrived.empty():
                self._take(self._arrived.get())
            end = self._renewing.next_end()
            self.is_ending = end is not None
            batch = end or self._steps.next_batch()
            if batch is not None:
                return batch
            self._take(self._arrived.get())

    def renew(self, renewal: Renewal) -> None:
        """Take what is over, from any thread; it is let go of before the next step."""
        self._arrived.put(renewal)

    @property
    def has_arrived(self) -> bool:
        """Whether something waits that nobody has taken yet."""
        return not self._arrived.empty()

    def between_steps(self, act: Callable[[], None]) -> None:
        """Have something done before the next step, in the thread that runs steps."""
        self._arrived.put(act)

    def reroute(self, plan: Plan) -> None:
        """Take other routes, whose edges are open; in the thread that runs steps."""
        self._steps.reroute(plan)
        self._renewing.reroute(plan)
        self._drain_all(plan)

    def _drain_all(self, plan: Plan) -> None:
        """Take what arrives on edges that are new."""
        ends_of_stages = {stage.id: stage.layers[1] for stage in plan.stages} | {ENTRY: 0}
        for source, receiver in list(self._ends.receivers.items()):
            if receiver not in self._drained:
                drain(receiver, self._deliver_from(ends_of_stages[source]))
        for receiver in list(self._ends.back_receivers.values()):
            if receiver not in self._drained:
                drain(receiver, self.put_back)
        self._drained = {*self._ends.receivers.values(), *self._ends.back_receivers.values()}

    def put_back(self, batch: Batch | Loss) -> None:
        """Take tokens that come back from the last stage of a route that begins here."""
        self._arrived.put(_Delivery(None, batch))

    def _take(self, delivery: _Delivery | Renewal | Callable[[], None]) -> None:
        if isinstance(delivery, Renewal):
            self._renewing.begin(delivery)
            return
        if not isinstance(delivery, _Delivery):
            delivery()
            return
        batch = delivery.batch
        if isinstance(batch, Exception):
            raise batch
        if delivery.enter_layer is None:
            self._steps.take_back(batch)
        else:
            self._steps.take(batch, delivery.enter_layer)

    def _deliver_from(self, enter_layer: int) -> Callable[[Batch | Loss], None]:
        return lambda batch: self._arrived.put(_Delivery(enter_layer, batch))


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What came over an edge."""

    enter_layer: int | None
    """Where it enters the stage; None if it comes back from a last stage."""
    batch: Batch | Loss


class Outbox:
    """Sends each row of a stage's output to the next hop of its route."""

    def __init__(
        self,
        plan: Plan,
        stage: str,
        ends: Ends,
        keep: Callable[[Batch], None],
        steering: Steering,
    ) -> None:
        self._stage = stage
        self._senders = ends.senders
        self._way_back = WayBack(plan, stage, ends, keep)
        self._steering = steering
        self._next_by_route = _next_by_route(plan, stage)

    def reroute(self, plan: Plan) -> None:
        """Take other routes, whose edges are open."""
        self._way_back.reroute(plan)
        self._next_by_route = _next_by_route(plan, self._stage)

    def send(self, batch: Batch, output: Output) -> None:
        """Send what the stage made of a batch."""
        if EXIT in self._senders:
            self._send_tokens(batch, output)
        else:
            self._send_hidden(batch, output.hidden)

    def forget(self, requests: Sequence[int]) -> None:
        """Forget requests that are over elsewhere."""
        self._way_back.forget(requests)
        for request in requests:
            self._steering.forget(request)

    def _send_tokens(self, batch: Batch, output: Output) -> None:
        """Sample, and send the tokens to the launcher, and what it waits for besides."""
        of_prompts = output.prompt_logprobs or ((),) * len(batch.rows)
        pairs = list(zip(batch.rows, of_prompts, strict=True))
        drawing = [pair for pair in pairs if pair[0].samples]
        passing = [pair for pair in pairs if pair[0].tokens and not pair[0].samples]
        closing = [row for row in batch.rows if row.closes]
        ending = [row for row in batch.rows if row.closes or row.stows]
        sampling = [row for row, _ in drawing]
        ids: Tensor | None = None
        chosen: list[int] = []
        told: tuple[Logprobs | None, ...] = ()
        if output.logits is not None:
            ids = sample(self._steering.steered(output.logits, sampling), sampling)
            chosen = ids.tolist()
        # Tokens go back before anything else is done: the route's first stage waits for them.
        ended = self._way_back.send(batch.rows, chosen)
        if output.logits is not None and ids is not None:
            self._steering.note(sampling, ids)
            told = logprobs_of(output.logits, ids, sampling)
        for request in (*ended, *(row.request for row in closing)):
            self._steering.forget(request)
        rows = [sampled(row) for row in sampling]
        rows += [passed(row) for row, _ in passing]
        rows += ending
        told += (None,) * (len(rows) - len(sampling)) if told else ()
        prompts = [told_of for _, told_of in (*drawing, *passing)] if output.prompt_logprobs else []
        prompts += [()] * len(ending) if prompts else []
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


def _next_by_route(plan: Plan, stage: str) -> tuple[str | None, ...]:
    """Return where a stage sends the rows of each route."""
    return tuple(dict(route_edges(plan, route)).get(stage) for route in range(len(plan.routes)))
