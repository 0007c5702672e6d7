"""Edges whose far end takes messages only when the test says so."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch

from hexplan_runtime.batch import Batch, Row, merge
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.gloo import Group, Rendezvous, host_store, join_store
from hexplan_runtime.net.transport import Receiver
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import GREEDY

WIRE_FORMAT = WireFormat(launch=5, hidden=64, dtype=torch.float32)
LARGE = 3000
"""Tokens of a message that does not fit into a frame."""


@dataclass(frozen=True)
class Edge:
    sender: EdgeSender
    receiver: Receiver

    def receive(self, count: int) -> list[list[int]]:
        """Return the requests of each of the next messages."""
        return [[row.request for row in self.receiver.receive().rows] for _ in range(count)]


@pytest.fixture
def edge() -> Iterator[Edge]:
    store, port = host_store()

    def join(rank: int) -> Group:
        wait = datetime.timedelta(seconds=30)
        return Rendezvous(join_store(port), "nonce", wait).meet("edge", rank, 2)

    with ThreadPoolExecutor(2) as pool:
        near, far = pool.map(join, range(2))
    sender = EdgeSender(near, WIRE_FORMAT)
    yield Edge(sender, Receiver(far, WIRE_FORMAT))
    sender.close()
    del store


def prompt(request: int, tokens: int = LARGE) -> Batch:
    row = Row(request, 0, 0, tokens, 9000, GREEDY)
    return Batch((row,), hidden=torch.full((tokens, 64), float(request)))


def decode(request: int) -> Batch:
    row = Row(request, 0, 9, 1, 9000, GREEDY, samples=True, decodes=True)
    return Batch((row,), hidden=torch.ones(1, 64))


def end(request: int) -> Batch:
    return Batch((Row(request, 0, 0, 0, 9000, GREEDY, closes=True),))


def test_nobody_waits_for_a_far_end_that_takes_nothing(edge: Edge) -> None:
    """Two are on their way when the others come; this would not return otherwise."""
    for request in range(40):
        edge.sender.send(prompt(request))
    assert edge.receive(40) == [[request] for request in range(40)]


def test_decodes_and_ends_pass_prompts_that_wait(edge: Edge) -> None:
    for request in range(5):
        edge.sender.send(prompt(request))
    for late in (decode(7), decode(8), end(9)):
        edge.sender.send(late)
    assert edge.receive(8) == [[0], [1], [7], [8], [9], [2], [3], [4]]


def test_the_end_of_a_request_drops_what_waits_of_it(edge: Edge) -> None:
    for request in range(3):
        edge.sender.send(prompt(request))
    edge.sender.send(merge([prompt(3, 5), prompt(2, 7), prompt(4, 2)]))
    edge.sender.send(prompt(2))
    edge.sender.send(end(2))
    assert edge.receive(3) == [[0], [1], [2]]
    batch = edge.receiver.receive()
    assert [row.request for row in batch.rows] == [3, 4]
    assert batch.hidden is not None
    assert batch.hidden[:, 0].tolist() == [3.0] * 5 + [4.0] * 2


def test_decodes_do_not_hold_a_prompt_up_for_ever(edge: Edge) -> None:
    for request in range(3):
        edge.sender.send(prompt(request))
    for request in range(3, 23):
        edge.sender.send(decode(request))
    seen = edge.receive(23)
    assert sorted(seen) == [[request] for request in range(23)]
    assert seen.index([2]) == 2 + 8


def test_what_is_heard_of_sends_is_in_the_order_on_the_wire(edge: Edge) -> None:
    heard: list[int] = []
    edge.sender.hear = lambda batch: heard.append(batch.rows[0].request)
    for batch in (prompt(0), prompt(1), prompt(2), decode(3)):
        edge.sender.send(batch)
    assert [[request] for request in heard] == [[0], [1]]
    assert edge.receive(4) == [[0], [1], [3], [2]]
    assert heard == [0, 1, 3, 2]
