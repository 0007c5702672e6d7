"""Gloo groups, met through a store, on one address of each machine: never on all of them.

No operation has a timeout unless its caller gives one: an idle peer may wait for hours, and a
timeout closes every connection of its group. The launcher watches the processes instead, and a lost
peer raises `PeerLost`. Addresses are IP addresses that `addresses.local_address` has accepted.
"""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol, cast

import torch
from torch import Tensor

# torch.distributed exports these only where it was built with them, which no type checker follows
from torch._C._distributed_c10d import (
    FileStore,
    PrefixStore,
    ProcessGroupGloo,
    Store,
    TCPStore,
    Work,
)

from hexplan.errors import HexplanError
from hexplan_runtime.net.addresses import LOOPBACK as LOOPBACK

FOREVER: Final = datetime.timedelta(days=3650)
_JOIN = datetime.timedelta(minutes=5)
_THREADS = 2
"""gloo's own default."""
_TAG = 0
_SMALL_BYTES = 65536
"""Up to here, latency costs a sum more than bandwidth does: chosen by trial over loopback."""


class EdgeOver(Exception):  # noqa: N818
    """An edge is over as planned, and nobody waits for its batches any more."""


class PeerLost(Exception):
    """The other end of an edge or of a stage's group is gone."""


class Group:
    """Ranks that talk to each other: a stage's team, or the two ends of an edge."""

    def __init__(self, gloo: ProcessGroupGloo) -> None:
        self.gloo = gloo
        """What it talks over."""
        self._gloo = cast("_Gloo", gloo)
        self._rank = gloo.rank()
        self.size = gloo.size()
        """Number of ranks."""
        self.sent_bytes = 0
        """Bytes of all messages that this rank has begun to send to others one by one."""

    def start_send(self, x: Tensor, target: int) -> Work:
        """Start to send; the handle and x must live until the peer has received x."""
        self.sent_bytes += x.nbytes
        with peer_loss():
            return self._gloo.send([x], target, _TAG)

    def send(self, x: Tensor, target: int) -> None:
        """Send x and wait until the peer has received it."""
        finish(self.start_send(x, target))

    def receive(self, x: Tensor, source: int) -> Tensor:
        """Wait for a message that fills x, or less of it, and return x."""
        finish(self.start_receive(x, source))
        return x

    def start_receive(self, x: Tensor, source: int) -> Work:
        """Start to receive; gloo begins to send only once the other end waits for the message."""
        with peer_loss():
            return self._gloo.recv([x], source, _TAG)

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over all ranks, the same bits on every rank; x may be overwritten.

        For small sums latency counts: everyone sends to everyone at once. For large ones bandwidth
        counts, and gloo's all-reduce needs less of it if there are more than two ranks.
        """
        if self.size == 2 or x.nbytes <= _SMALL_BYTES:
            return self._exchange(x.contiguous())
        with peer_loss():
            self._gloo.allreduce([x]).wait(FOREVER)
        return x

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank.

        All are contiguous, one a rank; a rank's own is copied, and what is empty is not sent.
        """
        peers = [rank for rank in range(self.size) if rank != self._rank]
        works = [self.start_receive(receives[r], r) for r in peers if receives[r].numel()]
        works += [self.start_send(sends[r], r) for r in peers if sends[r].numel()]
        if receives[self._rank].data_ptr() != sends[self._rank].data_ptr():
            receives[self._rank].copy_(sends[self._rank])
        for work in works:
            finish(work)

    def collect(self, x: Tensor, target: int, receives: Sequence[Tensor]) -> None:
        """Send a contiguous tensor to one rank, which fills its tensors of all ranks with them."""
        if self._rank != target:
            self.send(x, target)
            return
        receives[target].copy_(x)
        for rank in range(self.size):
            if rank != target:
                self.receive(receives[rank], rank)

    def _exchange(self, x: Tensor) -> Tensor:
        parts = [x if rank == self._rank else torch.empty_like(x) for rank in range(self.size)]
        self.exchange([x] * self.size, parts)
        total = parts[0] + parts[1]
        for rank in range(2, self.size):
            total += parts[rank]
        return total


class _Gloo(Protocol):
    """What is used of ProcessGroupGloo and missing in its type stub."""

    def send(self, tensors: Sequence[Tensor], target: int, tag: int) -> Work: ...
    def recv(self, tensors: Sequence[Tensor], source: int, tag: int) -> Work: ...
    def allreduce(self, tensors: Sequence[Tensor]) -> Work: ...


def host_store(address: str = LOOPBACK) -> tuple[Store, int]:
    """Open the store where ranks meet, on one address only, and return it with its port."""
    ip = _single(address)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    listener = socket.create_server((address, 0), family=family, backlog=1024)
    port: int = listener.getsockname()[1]
    store = TCPStore(
        address,
        port,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    return store, port


def local_store(folder: Path) -> Store:
    """Return the store of those who may enter a folder, with no port for anybody else to find."""
    return FileStore(str(folder / "store"), -1)


def join_store(port: int, timeout: datetime.timedelta = _JOIN, address: str = LOOPBACK) -> Store:
    """Connect to the store of whoever hosts it; each rank needs a connection of its own."""
    with peer_loss():
        return TCPStore(address, port, is_master=False, timeout=timeout, wait_for_workers=False)


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """Where the ranks of one launch find each other; only those with the nonce know the keys."""

    store: Store
    nonce: str
    timeout: datetime.timedelta = FOREVER
    """How long to wait for the rest of a group; gloo tries five times to reach them."""
    address: str = LOOPBACK
    """Address of this machine that the others reach it at."""

    def meet(self, name: str, rank: int, size: int) -> Group:
        """Return the group of this name, once all its ranks are here."""
        store = PrefixStore(f"{self.nonce}/{name}", self.store)
        return connected(store, rank, size, self.address, self.timeout)


def connected(
    store: Store, rank: int, size: int, address: str, timeout: datetime.timedelta
) -> Group:
    """Return a group of ranks that find each other by a store, and listen at one address each."""
    _single(address)
    options = ProcessGroupGloo._Options()  # type: ignore[attr-defined]
    options._devices = [ProcessGroupGloo.create_device(hostname=address)]
    options._timeout = timeout
    options._threads = _THREADS
    with peer_loss():
        return Group(ProcessGroupGloo(store, rank, size, options))


@contextmanager
def peer_loss() -> Iterator[None]:
    """Turn what gloo raises into PeerLost."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(str(error)) from error


def finish(work: Work, limit: datetime.timedelta = FOREVER) -> None:
    """Wait until an operation is over; if the limit passes first, the peer counts as lost."""
    with peer_loss():
        work.wait(limit)


def _single(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address)
    if ip.is_unspecified:
        message = f"{address}: would listen to everyone; needed is one address of this machine"
        raise HexplanError(message)
    return ip
