"""Edges of messages between two ends of one process: whole, in order, and closed to strangers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
import torch
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.errors import HexplanError
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.keys import KeyPair, LaunchKeys
from hexplan_runtime.net.messages import (
    MessageEnds,
    MessageReceiver,
    MessageSender,
    socket_file,
)
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import Sampling
from hexplan_runtime.stage.mailbox import Loss, drain

HIDDEN = 64
ADDRESSES = ["file", "tcp"]


def wire_format(dtype: torch.dtype = torch.float32) -> WireFormat:
    return WireFormat(launch=5, hidden=HIDDEN, dtype=dtype)


def activations(request: int, tokens: int, dtype: torch.dtype = torch.float32) -> Batch:
    row = Row(request, 0, 0, tokens, 9000, Sampling())
    return Batch((row,), hidden=torch.full((tokens, HIDDEN), float(request), dtype=dtype))


class Edge:
    """Two ends, each with a context of its own, as two processes have."""

    def __init__(self, folder: Path, kind: str, dtype: torch.dtype = torch.float32) -> None:
        keys = LaunchKeys.new()
        self.keys, self.near = keys, MessageEnds(wire_format(dtype), keys)
        self.far = MessageEnds(wire_format(dtype), keys)
        address = socket_file(folder, 0) if kind == "file" else "tcp://127.0.0.1:*"
        self.receiver: MessageReceiver = self.far.receiver(address)
        self.sender: MessageSender = self.near.sender(self.receiver.address)
        self.arrived: SimpleQueue[Batch | Loss] = SimpleQueue()

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture(params=ADDRESSES)
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path, request.param)
    drain(edge.receiver, edge.arrived.put)
    yield edge
    edge.close()


def test_batches_arrive_whole_and_in_order(edge: Edge) -> None:
    """Small ones and ones larger than a frame, sent faster than they are taken."""
    sizes = [1, 3000, 2, 1, 500, 1, 1, 4000]
    for request, tokens in enumerate(sizes):
        edge.sender.send(activations(request, tokens))
    for request, tokens in enumerate(sizes):
        batch = edge.arrived.get(timeout=30)
        assert isinstance(batch, Batch)
        assert batch.hidden is not None
        assert torch.equal(batch.hidden, torch.full((tokens, HIDDEN), float(request)))
        assert batch.rows[0].request == request


@pytest.mark.parametrize("tokens", [1, 2000])
def test_every_type_of_activation_arrives_as_it_was(tmp_path: Path, tokens: int) -> None:
    for number, dtype in enumerate((torch.float32, torch.float16, torch.bfloat16)):
        folder = tmp_path / str(number)
        folder.mkdir()
        edge = Edge(folder, "file", dtype)
        sent = activations(3, tokens, dtype)
        edge.sender.send(sent)
        found = edge.receiver.receive().hidden
        assert found is not None
        assert sent.hidden is not None
        assert torch.equal(found, sent.hidden)
        edge.close()


def test_what_was_sent_in_an_epoch_that_is_over_is_dropped_whole(edge: Edge) -> None:
    """One sender is new, the other one is what is left of a process before it."""
    new, old = edge.near.sender(edge.receiver.address), edge.sender
    old.send(activations(1, 1))
    assert edge.arrived.get(timeout=30).rows[0].request == 1  # type: ignore[union-attr]
    new.begin_epoch(1)
    new.send(activations(2, 3000))
    assert edge.arrived.get(timeout=30).rows[0].request == 2  # type: ignore[union-attr]
    for tokens in (1, 3000):
        old.send(activations(1, tokens))
    time.sleep(0.2)
    new.send(activations(3, 1))
    assert edge.arrived.get(timeout=30).rows[0].request == 3  # type: ignore[union-attr]


def test_a_sender_may_connect_before_anybody_listens(tmp_path: Path) -> None:
    near, far = MessageEnds(wire_format()), MessageEnds(wire_format())
    near.sender(socket_file(tmp_path, 0)).send(activations(7, 1))
    time.sleep(0.05)
    batch = far.receiver(socket_file(tmp_path, 0)).receive()
    assert batch.rows[0].request == 7
    near.close()
    far.close()


def test_a_receiver_that_waits_hears_of_the_end(edge: Edge) -> None:
    edge.far.close()
    assert isinstance(edge.arrived.get(timeout=30), PeerLost)
    edge.near.close()
    edge.near, edge.far = MessageEnds(wire_format()), MessageEnds(wire_format())


def test_nobody_without_the_key_of_the_launch_is_let_in(tmp_path: Path) -> None:
    """One who knows the receivers' public key, one with other keys, and one without any."""
    edge = Edge(tmp_path, "tcp")
    drain(edge.receiver, edge.arrived.put)
    strange = MessageEnds(wire_format(), LaunchKeys(edge.keys.listeners, KeyPair.new()))
    strange.sender(edge.receiver.address).send(activations(66, 1))
    other = MessageEnds(wire_format(), LaunchKeys.new())
    other.sender(edge.receiver.address).send(activations(67, 1))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    bare = context.socket(zmq.PUSH)
    bare.linger = 0
    bare.connect(edge.receiver.address)
    bare.send(b"x", zmq.NOBLOCK)
    with pytest.raises(Empty):
        edge.arrived.get(timeout=1)
    edge.sender.send(activations(1, 1))
    batch = edge.arrived.get(timeout=30)
    assert isinstance(batch, Batch)
    assert batch.rows[0].request == 1
    bare.close()
    context.term()
    for ends in (strange, other):
        ends.close()
    edge.close()


def test_an_edge_over_tcp_needs_keys() -> None:
    ends = MessageEnds(wire_format())
    with pytest.raises(HexplanError, match="needs the keys"):
        ends.receiver("tcp://127.0.0.1:*")
    ends.close()


def test_a_secret_key_is_not_shown() -> None:
    keys = LaunchKeys.new()
    assert keys.listeners.secret.decode() not in repr(keys)
    assert keys.callers.secret.decode() not in repr(keys)


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HexplanError, match="a socket file's path"):
        socket_file(tmp_path / ("x" * 100), 0)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    near, far = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    near.bind("inproc://torn")
    far.connect("inproc://torn")
    yield near, far
    context.destroy(linger=0)


@settings(deadline=None, max_examples=150)
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=4), cut=st.integers(0, 400))
def test_a_torn_message_is_refused(
    pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]], parts: list[bytes], cut: int
) -> None:
    """Random bytes, and a good message cut short."""
    near, far = pair
    receiver = MessageReceiver(far, wire_format())
    near.send_multipart(parts)
    with pytest.raises(HexplanError):
        receiver.receive()
    MessageSender(near, wire_format()).send(activations(1, 1))
    whole = far.recv_multipart()
    near.send_multipart([whole[0][: min(cut, len(whole[0]) - 1)]])
    with pytest.raises(HexplanError):
        receiver.receive()
