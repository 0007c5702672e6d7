"""How batches travel: a sender at one end, a receiver at the other.

A gloo send is over when the peer has received it. Every receiver therefore takes messages at once,
and a sender keeps its last few messages until they are taken.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from torch import Tensor
from torch._C._distributed_c10d import Work

from hexplan_runtime.batch import Batch
from hexplan_runtime.net.gloo import Group, finish
from hexplan_runtime.net.wire import Decoder, Encoder, WireFormat, new_frame

_PATIENCE = 2
"""Batches on their way before `send` waits for the peer."""


class Sends(Protocol):
    """Something that sends batches."""

    def send(self, batch: Batch) -> None:
        """Send a batch."""


class Receives(Protocol):
    """Something that receives batches."""

    def receive(self) -> Batch:
        """Wait for the next batch."""


class Sender:
    """Sends to one rank of a team, and waits for it where it is slow: all take the same steps.

    `peer` is its rank in the group. Between stages, `EdgeSender` waits for nobody.
    """

    def __init__(self, group: Group, wire_format: WireFormat, peer: int) -> None:
        self._group = group
        self._encoder = Encoder(wire_format)
        self._peer = peer
        self._under_way: deque[list[tuple[Work, Tensor]]] = deque()

    def send(self, batch: Batch) -> None:
        """Send a batch; handles and tensors are kept until the peer has it, as gloo needs them."""
        messages = self._encoder.pack(batch)
        sent = [(self._group.start_send(part, self._peer), part) for part in messages]
        self._under_way.append(sent)
        if len(self._under_way) > _PATIENCE:
            for work, _ in self._under_way.popleft():
                finish(work)


class Receiver:
    """The end that batches arrive at; `peer` is the rank of the other end in the group."""

    def __init__(self, group: Group, wire_format: WireFormat, peer: int) -> None:
        self._group = group
        self._decoder = Decoder(wire_format)
        self._peer = peer

    def receive(self) -> Batch:
        """Wait for the next batch."""
        envelope = self._decoder.unpack(self._group.receive(new_frame(), self._peer))
        if not envelope.is_complete:
            for part in envelope.parts:
                self._group.receive(part, self._peer)
        return self._decoder.complete(envelope, envelope.parts)
