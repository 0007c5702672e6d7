"""How batches travel: a sender at one end, a receiver at the other.

A gloo send is over when the peer has received it. Every receiver therefore takes messages at once,
and a sender keeps its last few messages until they are taken.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from hexplan_runtime.batch import Batch
from hexplan_runtime.net.gloo import FOREVER, peer_loss
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


class Underway(Protocol):
    """A message that was sent."""

    def wait(self, limit: datetime.timedelta) -> bool:
        """Wait until the message, and where it stood, is of no use to the sender any more."""


class TeamGroup(Protocol):
    """What the ranks of a team talk over."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    @property
    def sent_bytes(self) -> int:
        """Bytes that this rank has sent to others."""

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over all ranks, the same bits on every rank; x may be overwritten."""

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank.

        All are contiguous, one a rank; a rank's own is copied, and what is empty is not sent.
        """

    def collect(self, x: Tensor, target: int, receives: Sequence[Tensor]) -> None:
        """Send a contiguous tensor to one rank, which fills its tensors of all ranks with them."""

    def start_send(self, x: Tensor, target: int) -> Underway:
        """Start to send; the handle and x must live until the wait for it is over."""

    def receive(self, x: Tensor, source: int) -> Tensor:
        """Wait for a message that fills x, or less of it, and return x."""


class Sender:
    """Sends to one rank of a team, and waits for it where it is slow: all take the same steps.

    `peer` is its rank in the group. Between stages, `EdgeSender` waits for nobody.
    """

    def __init__(self, group: TeamGroup, wire_format: WireFormat, peer: int) -> None:
        self._group = group
        self._encoder = Encoder(wire_format)
        self._peer = peer
        self._under_way: deque[list[tuple[Underway, Tensor]]] = deque()

    def send(self, batch: Batch) -> None:
        """Send a batch; handles and tensors are kept until the peer has it, as gloo needs them."""
        messages = self._encoder.pack(batch)
        sent = [(self._group.start_send(part, self._peer), part) for part in messages]
        self._under_way.append(sent)
        if len(self._under_way) > _PATIENCE:
            for work, _ in self._under_way.popleft():
                with peer_loss():
                    work.wait(FOREVER)


class Receiver:
    """The end that batches arrive at; `peer` is the rank of the other end in the group."""

    def __init__(self, group: TeamGroup, wire_format: WireFormat, peer: int) -> None:
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
