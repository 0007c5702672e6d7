"""Plain edges: torch.distributed between two machines inside a site that the plan trusts.

Each edge is a gloo group of two, so that a lost peer breaks its own edges and no others. The two
ends meet over the edge's authenticated connection (`meeting.Control`), which stays open: the end
that called watches it. What batches carry can be read by whoever reads that site's network.
"""

from __future__ import annotations

import datetime
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Final

from torch import Tensor
from torch._C._distributed_c10d import Store, Work

from hexplan.errors import HexplanError
from hexplan_runtime.batch import Batch
from hexplan_runtime.net.gloo import Group, PeerLost, connected, finish
from hexplan_runtime.net.meeting import Control
from hexplan_runtime.net.messages import MessageReceiver, MessageSender
from hexplan_runtime.net.transport import Receiver
from hexplan_runtime.net.wire import Encoder, WireFormat

_LISTENER, _CALLER = 0, 1
"""Ranks in the group of an edge."""
_UNDER_WAY: Final = 2
"""Batches that the peer has not taken yet before others wait where decodes can pass."""


def meet(control: Control, address: str, *, calls: bool, timeout_s: float) -> Group:
    """Return the group of an edge's two ends, once the other end is here as well.

    Parameters
    ----------
    address
        IP address of this machine in the trusted network, where gloo listens.

    Raises
    ------
    PeerLost
        The other end did not come in time.
    """
    store = _EdgeStore(control, time.monotonic() + timeout_s)
    rank = _CALLER if calls else _LISTENER
    try:
        return connected(store, rank, 2, address, datetime.timedelta(seconds=timeout_s))
    except PeerLost as error:
        message = f"the other end of {control.address} has not joined within {timeout_s:g} s"
        raise PeerLost(message) from error


class PlainSender:
    """The end that batches leave from, which never waits for the peer.

    A later epoch means that the process at one end is another one. What is sent then takes the
    connection at which the ends met, encrypted: it finds the new process by itself.

    Parameters
    ----------
    group
        None if the ends did not meet, as this process is not the first one.
    lose
        Called once when the peer is lost, in a thread of its own; what is sent then is dropped, up
        to the next epoch.
    """

    def __init__(
        self,
        group: Group | None,
        control: Control,
        wire_format: WireFormat,
        lose: Callable[[], None],
        epoch: int = 0,
    ) -> None:
        self._group = group
        self._encoder = Encoder(wire_format)
        self._later = MessageSender(control.socket, wire_format, epoch)
        self._is_later = group is None
        self._lose = lose
        self._changed = Condition()
        self._under_way: deque[list[tuple[Work, Tensor]]] = deque()
        self._is_over = False
        Thread(target=self._finish_all, daemon=True, name="plain sender").start()

    @property
    def has_room(self) -> bool:
        """Whether the next batch would go at once."""
        return self._later.has_room if self._is_later else len(self._under_way) < _UNDER_WAY

    @property
    def epoch(self) -> int:
        """That of the edge, as far as this end knows."""
        return self._later.epoch

    def forget(self, requests: Collection[int]) -> None:
        """Forget requests that are over without an end of theirs having been sent."""
        for request in requests:
            self._encoder.opened.pop(request, None)
        self._later.forget(requests)

    def begin_epoch(self, epoch: int) -> None:
        """Begin anew, as the process at the other end does; it drops what was sent before."""
        self.close()
        self._is_later = True
        self._later.begin_epoch(epoch)

    def send(self, batch: Batch) -> None:
        """Send a batch; handles and tensors are kept until the peer has it, as gloo needs them."""
        if self._is_later:
            self._later.send(batch)
            return
        with self._changed:
            if self._group is None or self._is_over:
                return
            parts = self._encoder.pack(batch)
            try:
                sent = [(self._group.start_send(part, _LISTENER), part) for part in parts]
            except PeerLost:
                self._end()
                return
            self._under_way.append(sent)
            self._changed.notify()

    def close(self) -> None:
        """Send no more, and hang up once nothing is under way: the peer counts this as a loss."""
        with self._changed:
            self._is_over = True
            self._group = None
            self._changed.notify()

    def _finish_all(self) -> None:
        """Wait until the peer has taken what was sent, one batch after the other."""
        while True:
            with self._changed:
                while not self._under_way and not self._is_over:
                    self._changed.wait()
                if self._is_over:
                    return
                works = self._under_way[0]
            try:
                for work, _ in works:
                    finish(work)
            except PeerLost:
                with self._changed:
                    self._end()
                return
            with self._changed:
                if self._under_way:
                    self._under_way.popleft()

    def _end(self) -> None:
        """Note the loss; the lock is held."""
        if not self._is_over:
            self._is_over = True
            self._under_way.clear()
            self._changed.notify()
            Thread(target=self._lose, daemon=True, name="plain loss").start()


class PlainReceiver:
    """The end that batches arrive at: by gloo, and of later epochs at the place of meeting.

    That gloo has lost the peer says nothing here: the end that calls judges, as at other edges.
    """

    def __init__(
        self, group: Group | None, control: Control, wire_format: WireFormat, epoch: int = 0
    ) -> None:
        self._arrived: SimpleQueue[Batch | PeerLost | HexplanError] = SimpleQueue()
        self._is_later = group is None
        if group is not None:
            plain = Receiver(group, wire_format, _CALLER)
            Thread(target=self._take, args=(plain,), daemon=True, name="plain receiver").start()
        later = MessageReceiver(control.socket, wire_format, epoch)
        control.close = later.close
        Thread(target=self._take_later, args=(later,), daemon=True, name="later epochs").start()

    def receive(self) -> Batch:
        """Wait for the next batch.

        Raises
        ------
        PeerLost
            The ends of this process were closed.
        HexplanError
            A message is not of this launch, or torn.
        """
        found = self._arrived.get()
        if isinstance(found, Exception):
            raise found
        return found

    def _take(self, plain: Receiver) -> None:
        try:
            while True:
                batch = plain.receive()
                if self._is_later:
                    return
                self._arrived.put(batch)
        except PeerLost:
            return
        except HexplanError as error:
            self._arrived.put(error)

    def _take_later(self, later: MessageReceiver) -> None:
        try:
            while True:
                batch = later.receive()
                self._is_later = True
                self._arrived.put(batch)
        except (PeerLost, HexplanError) as error:
            self._arrived.put(error)


class _EdgeStore(Store):
    """What gloo's two ends must know of each other, told over their own connection."""

    def __init__(self, control: Control, deadline_s: float) -> None:
        super().__init__()
        self._control = control
        self._deadline_s = deadline_s
        self._known: dict[str, bytes] = {}

    def set(self, key: str, value: bytes) -> None:  # type: ignore[override]
        """Note a value here, and tell the other end."""
        self._known[key] = value
        self._control.tell(key.encode(), value, self._left_s)

    def get(self, key: str) -> bytes:
        """Return a value, once either end has set it."""
        while key not in self._known:
            told, value = self._control.hear(self._left_s)
            self._known[told.decode()] = value
        return self._known[key]

    def wait(self, keys: Sequence[str], timeout: datetime.timedelta | None = None) -> None:
        """Wait until either end has set these keys."""
        for key in keys:
            self.get(key)

    def check(self, keys: Sequence[str]) -> bool:
        """Say whether these keys are known here."""
        return all(key in self._known for key in keys)

    @property
    def _left_s(self) -> float:
        return max(0.0, self._deadline_s - time.monotonic())
