"""Observe what a process runs, sends and receives, for `launch --observe`.

An observed stage or edge wraps the real one, so that a launch which is not observed pays nothing.
The loop only notes times; a thread turns them into reports.

Times are those of `time.perf_counter`, which all processes of one machine share, and a launch runs
on one machine. A send and its receipt on two machines must not be joined: their clocks differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

import torch

from hexplan.field_types import Compression
from hexplan.measured.observations import Load, StepSeen
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.transport import Receives, Sends
from hexplan_runtime.net.wire import num_bytes
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.messages import EndSeen
from hexplan_runtime.stage.stage import Output, Stage

_INTERVAL_S: Final = 0.25
"""How often to report: a reader of the file sees a launch as it runs, and no step is held up."""
_MOST_AT_ONCE: Final = 32
"""Steps and messages in one report, whose line must stay far below 1 MiB, the longest one read."""

Edge: TypeAlias = tuple[str, str]
Seen: TypeAlias = StepSeen | EndSeen


@dataclass(frozen=True, slots=True)
class _Ran:
    """A step, as the loop notes it."""

    stage: Stage
    name: str
    """Id of the stage."""
    rows: tuple[Row, ...]
    begun_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class _Way:
    """An edge, and how it sends activations."""

    edge: Edge
    compress: Compression


@dataclass(frozen=True, slots=True)
class _Passed:
    """A message that left or arrived, likewise."""

    edge: Edge
    is_sent: bool
    at_s: float
    tokens: int
    num_bytes: int

    @classmethod
    def of(cls, batch: Batch, way: _Way, *, is_sent: bool) -> _Passed:
        """Note a batch now, without keeping its tensors alive."""
        size = num_bytes(batch, way.compress)
        return cls(way.edge, is_sent, time.perf_counter(), batch.tokens, size)


class Observer:
    """Collects what one process does, and hands it over regularly, and when it is flushed."""

    def __init__(self, hand_over: Callable[[Sequence[Seen]], None]) -> None:
        self._hand_over = hand_over
        self._noted: SimpleQueue[_Passed | _Ran] = SimpleQueue()
        self._lock = Lock()
        self._is_over = Event()
        Thread(target=self._run, daemon=True, name="observer").start()

    def over(self, stage: Stage, name: str) -> ObservedStage:
        """Return the stage, with its steps timed."""
        return ObservedStage(stage, name, self._noted.put)

    def over_ends(self, ends: Ends, *, sends_from: str, receives_at: str) -> Ends:
        """Return the edges, with the messages timed at the ends that are in this process.

        Parameters
        ----------
        sends_from
            Where the senders' edges begin: a stage id, or `entry`.
        receives_at
            Where the receivers' edges end: a stage id, or `exit`.
        """
        note: Callable[[_Passed], None] = self._noted.put

        def way(source: str, target: str) -> _Way:
            edge = source, target
            return _Way(edge, "none" if ends.opened is None else ends.opened.compression(edge))

        senders: dict[str, Sends] = {
            target: _observed(sender, way(sends_from, target), note)
            for target, sender in ends.senders.items()
        }
        receivers: dict[str, Receives] = {
            source: _ObservedReceiver(receiver, way(source, receives_at), note)
            for source, receiver in ends.receivers.items()
        }
        return replace(ends, senders=senders, receivers=receivers)

    def flush(self) -> None:
        """Hand over what has been noted so far."""
        with self._lock:
            while seen := list(self._take()):
                self._hand_over(seen)

    def close(self) -> None:
        """Hand over the rest, and observe no more."""
        self._is_over.set()
        self.flush()

    def _run(self) -> None:
        while not self._is_over.wait(_INTERVAL_S):
            self.flush()

    def _take(self) -> Iterator[Seen]:
        for _ in range(_MOST_AT_ONCE):
            try:
                noted = self._noted.get_nowait()
            except Empty:
                return
            yield _end_seen(noted) if isinstance(noted, _Passed) else _step_seen(noted)


class ObservedStage:
    """A stage whose steps are timed, if they have tokens."""

    def __init__(self, stage: Stage, name: str, note: Callable[[_Ran], None]) -> None:
        self._stage, self._name, self._note = stage, name, note

    def run(self, batch: Batch) -> Output:
        """Run a batch through the stage.

        Of a stage on several devices, the leader's time is that of all: each layer ends in sums
        that it gets only once every device has done its part.
        """
        begun_s = time.perf_counter()
        output = self._stage.run(batch)
        if output.hidden.is_cuda:  # kernels are only queued so far; stages run on the CPU as yet
            torch.cuda.synchronize(output.hidden.device)
        ended_s = time.perf_counter()
        if batch.tokens:
            self._note(_Ran(self._stage, self._name, batch.rows, begun_s, ended_s))
        return output


def _observed(sender: Sends, way: _Way, note: Callable[[_Passed], None]) -> Sends:
    """Return a sender whose messages are noted in the order in which they are really sent."""
    if not isinstance(sender, EdgeSender):
        return _ObservedSender(sender, way, note)
    sender.hear = lambda batch: note(_Passed.of(batch, way, is_sent=True))
    return sender


class _ObservedSender:
    def __init__(self, sender: Sends, way: _Way, note: Callable[[_Passed], None]) -> None:
        self._sender, self._way, self._note = sender, way, note

    def send(self, batch: Batch) -> None:
        """Send a batch, and note when that began: a send may only be queued when it returns."""
        self._note(_Passed.of(batch, self._way, is_sent=True))
        self._sender.send(batch)


class _ObservedReceiver:
    def __init__(self, receiver: Receives, way: _Way, note: Callable[[_Passed], None]) -> None:
        self._receiver, self._way, self._note = receiver, way, note

    def receive(self) -> Batch:
        """Wait for the next batch, and note when all of it is here."""
        batch = self._receiver.receive()
        self._note(_Passed.of(batch, self._way, is_sent=False))
        return batch


def loads_of(rows: Sequence[Row], enter_layer: Callable[[int], int]) -> tuple[Load, ...]:
    """Return what of a step enters at which layer; `enter_layer` knows that of each route."""
    loads: dict[int, Load] = {}
    for row in rows:
        if row.tokens:
            layer = enter_layer(row.route)
            loads[layer] = _plus(loads.get(layer) or Load(enter_layer=layer), row)
    return tuple(loads[layer] for layer in sorted(loads))


def _plus(load: Load, row: Row) -> Load:
    if row.decodes:
        decode = {
            "decode_tokens": load.decode_tokens + 1,
            "context": load.context + row.position + 1,
        }
        return load.model_copy(update=decode)
    reach = load.reach + row.tokens * (row.position + row.tokens / 2)
    prompt = {"prompt_tokens": load.prompt_tokens + row.tokens, "reach": reach}
    return load.model_copy(update=prompt)


def _step_seen(ran: _Ran) -> StepSeen:
    return StepSeen(
        stage=ran.name,
        at_s=ran.begun_s,
        seconds=round(ran.ended_s - ran.begun_s, 7),
        loads=loads_of(ran.rows, ran.stage.enter_layer),
        sampled_rows=ran.stage.has_head * sum(row.samples for row in ran.rows),
    )


def _end_seen(passed: _Passed) -> EndSeen:
    return EndSeen(
        source=passed.edge[0],
        target=passed.edge[1],
        is_sent=passed.is_sent,
        at_s=passed.at_s,
        tokens=passed.tokens,
        bytes=passed.num_bytes,
    )
