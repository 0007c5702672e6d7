"""Plain edges between two ends of one process: whole, in order, and only for those with keys."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.processes import listening_places, wait_until

from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.gloo import LOOPBACK, Group, PeerLost
from hexplan_runtime.net.keys import LaunchKeys
from hexplan_runtime.net.meeting import Control
from hexplan_runtime.net.messages import MessageEnds
from hexplan_runtime.net.plain import PlainReceiver, PlainSender, meet
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import Sampling
from hexplan_runtime.stage.mailbox import Loss, drain

HIDDEN = 64
FORMAT = WireFormat(launch=5, hidden=HIDDEN, dtype=torch.float32)
PATIENCE_S = 30.0
ANYWHERE = "tcp://127.0.0.1:*"


@dataclass
class Edge:
    """Two ends, each with a context of its own, as two processes have."""

    near: MessageEnds
    far: MessageEnds
    here: Control
    """Of the end that sends."""
    there: Control
    groups: list[Group]
    """That of the end that sends, and then that of the other."""

    def sender(self, lose: Callable[[], None] = lambda: None) -> PlainSender:
        return PlainSender(self.groups[0], self.here, FORMAT, lose)

    def receiver(self) -> PlainReceiver:
        return PlainReceiver(self.groups[1], self.there, FORMAT)

    @classmethod
    def open(cls) -> Edge:
        keys = LaunchKeys.new()
        near, far = MessageEnds(FORMAT, keys), MessageEnds(FORMAT, keys)
        there = far.control(ANYWHERE, calls=False)
        here = near.control(there.address, calls=True)
        with ThreadPoolExecutor() as threads:
            ends = [(here, True), (there, False)]
            met = [
                threads.submit(meet, end, LOOPBACK, calls=calls, timeout_s=PATIENCE_S)
                for end, calls in ends
            ]
            return cls(near, far, here, there, [one.result() for one in met])

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    edge = Edge.open()
    yield edge
    edge.close()


@pytest.fixture(scope="module")
def sender(edge: Edge) -> Iterator[PlainSender]:
    sender = edge.sender()
    yield sender
    sender.close()


@pytest.fixture(scope="module")
def arrived(edge: Edge) -> SimpleQueue[Batch | Loss]:
    batches: SimpleQueue[Batch | Loss] = SimpleQueue()
    drain(edge.receiver(), batches.put)
    return batches


def activations(request: int, tokens: int) -> Batch:
    row = Row(request, 0, 0, tokens, 9000, Sampling())
    return Batch((row,), hidden=torch.full((tokens, HIDDEN), float(request)))


@given(sizes=st.lists(st.integers(1, 40) | st.integers(2000, 4000), min_size=1, max_size=8))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_batches_arrive_whole_and_in_order(
    sender: PlainSender, arrived: SimpleQueue[Batch | Loss], sizes: list[int]
) -> None:
    """Small ones and ones larger than a frame, sent faster than they are taken."""
    for request, tokens in enumerate(sizes):
        sender.send(activations(request, tokens))
    for request, tokens in enumerate(sizes):
        batch = arrived.get(timeout=PATIENCE_S)
        assert isinstance(batch, Batch)
        assert batch.hidden is not None
        assert torch.equal(batch.hidden, torch.full((tokens, HIDDEN), float(request)))
        assert batch.rows[0].request == request


def test_strangers_at_the_port_of_gloo_disturb_nothing(
    sender: PlainSender, arrived: SimpleQueue[Batch | Loss]
) -> None:
    """Nothing proves there who comes: it is for networks of which the plan says so."""
    for words in listening_places(os.getpid()):
        address, _, port = words.partition(":")
        assert address == "0100007F", "127.0.0.1, as the kernel writes it"
        for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(8), b"\xff" * 4096, b""):
            with socket.create_connection((LOOPBACK, int(port, 16))) as stranger:
                stranger.sendall(data)
    sender.send(activations(7, 3))
    batch = arrived.get(timeout=PATIENCE_S)
    assert isinstance(batch, Batch)
    assert batch.rows[0].request == 7


def test_a_sender_is_full_while_nobody_takes_its_batches() -> None:
    edge = Edge.open()
    sender = edge.sender()
    rooms = [sender.has_room]
    for request in (0, 1):
        sender.send(activations(request, 1))
        rooms.append(sender.has_room)
    assert rooms == [True, True, False]
    receiver = edge.receiver()
    assert [receiver.receive().rows[0].request for _ in range(2)] == [0, 1]
    assert wait_until(lambda: sender.has_room)
    sender.close()
    edge.close()


def test_a_peer_that_is_gone_is_told_of_once_and_later_batches_are_dropped() -> None:
    edge = Edge.open()
    told: SimpleQueue[str] = SimpleQueue()
    sender = edge.sender(lambda: told.put("lost"))
    sender.send(activations(0, 1))
    edge.groups.pop()
    assert told.get(timeout=PATIENCE_S) == "lost"
    for request in range(1, 4):
        sender.send(activations(request, 1))
    assert sender.has_room
    assert told.empty()
    edge.close()


@pytest.mark.parametrize("is_new", [True, False])
def test_what_is_sent_in_a_later_epoch_takes_the_encrypted_connection(is_new: bool) -> None:
    """A stage was started again: that of the receiving end, or that of the end that sends."""
    edge = Edge.open()
    told: SimpleQueue[str] = SimpleQueue()
    sender = edge.sender(lambda: told.put("lost"))
    if is_new:
        receiver = PlainReceiver(None, edge.there, FORMAT)
        sender.send(activations(0, 1))
        edge.groups.pop()  # the process that had it is gone
        assert told.get(timeout=PATIENCE_S) == "lost"
    else:
        receiver = edge.receiver()
        sender.send(activations(0, 1))
        assert receiver.receive().rows[0].request == 0
    sender.begin_epoch(1)
    for request, tokens in ((1, 3), (2, 4000)):
        sender.send(activations(request, tokens))
    for request in (1, 2):
        assert receiver.receive().rows[0].request == request
    assert sender.has_room
    edge.close()


def test_an_end_that_waits_alone_says_so() -> None:
    keys = LaunchKeys.new()
    for calls in (True, False):
        ends = MessageEnds(FORMAT, keys)
        control = ends.control("tcp://127.0.0.1:9" if calls else ANYWHERE, calls=calls)
        with pytest.raises(PeerLost, match=r"has not joined within 0\.2 s"):
            meet(control, LOOPBACK, calls=calls, timeout_s=0.2)
        ends.close()


def test_whoever_has_other_keys_meets_nobody() -> None:
    far, stranger = MessageEnds(FORMAT, LaunchKeys.new()), MessageEnds(FORMAT, LaunchKeys.new())
    there = far.control(ANYWHERE, calls=False)
    here = stranger.control(there.address, calls=True)
    over = Event()

    def come() -> None:
        with pytest.raises(PeerLost):
            meet(here, LOOPBACK, calls=True, timeout_s=1.0)
        over.set()

    with ThreadPoolExecutor() as threads:
        threads.submit(come)
        with pytest.raises(PeerLost):
            meet(there, LOOPBACK, calls=False, timeout_s=1.0)
    assert over.is_set()
    far.close()
    stranger.close()
