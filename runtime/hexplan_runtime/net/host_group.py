"""Groups of ranks on one host, that share memory: sums without a network, and without gloo.

Numbers stand in memory that all ranks share, and a byte over a Unix socket says that they do. The
thread that waits for it is the one that computes: gloo has another one receive, and where a rank
has one core these two get into each other's way (decision 26).

Every rank has two places to write to, in turn. Whoever writes to one again has heard since from
every other rank that it had read it: each says that it has written only after it has read what was
written before.

Shapes: N numbers.
"""

from __future__ import annotations

import datetime
import mmap
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.net.gloo import FOREVER, PeerLost

SPIN_S: Final = 200e-6
"""How long whoever waits looks again and again before it sleeps. A core that sleeps takes as long
to wake up as many a sum takes. Chosen by trial."""
_PLACE_BYTES: Final = 256 * 1024
"""Bytes that a rank writes at once: its part and the sum stay in the caches of its core."""
_PART_BYTES: Final = 64 * 1024
"""Bytes that it writes at once for a single other rank."""
_TURNS: Final = 2
_READY: Final = b"r"
_LENGTH: Final = struct.Struct("<q")


def shared_bytes(size: int) -> int:
    """Return the bytes of memory that a group of this size shares."""
    return _TURNS * size * (_PLACE_BYTES + size * _PART_BYTES)


class HostGroup:
    """Ranks of one host that share memory; all do the same in the same order.

    Parameters
    ----------
    memory
        `shared_bytes` of memory that all ranks have.
    peers
        A connected socket to each other rank, by its number.
    spin_s
        How long to look again and again before sleeping; 0 where another thread needs the core.
    """

    def __init__(
        self, rank: int, memory: mmap.mmap, peers: Mapping[int, socket.socket], spin_s: float
    ) -> None:
        self._rank, self._peers, self._spin_s = rank, dict(peers), spin_s
        self.size = len(peers) + 1
        """Number of ranks."""
        self.sent_bytes = 0
        """Bytes that this rank has written for others, once for each of them."""
        self._others = sorted(peers)
        whole = torch.frombuffer(memory, dtype=torch.uint8)
        places = _TURNS * self.size * _PLACE_BYTES
        self._places = whole[:places].view(_TURNS, self.size, _PLACE_BYTES)
        self._parts = whole[places:].view(_TURNS, self.size, self.size, _PART_BYTES)
        self._typed: dict[torch.dtype, list[list[Tensor]]] = {}
        self._turn = 0
        self._part_turns = dict.fromkeys(self._others, 0)

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over all ranks, the same bits on every rank; x may be overwritten."""
        x = x.contiguous()
        self.sent_bytes += len(self._others) * x.nbytes
        places, x_N = self._places_of(x.dtype), x.view(-1)
        step = _PLACE_BYTES // x.itemsize
        for first in range(0, len(x_N), step):
            self._sum_up(x_N[first : first + step], places[self._turn])
            self._turn = 1 - self._turn
        return x

    def _sum_up(self, x_N: Tensor, places: Sequence[Tensor]) -> None:
        """Put the sum of what fits a place into x."""
        size = len(x_N)
        places[self._rank][:size].copy_(x_N)
        self._tell_ready(self._others)
        self._await_ready(self._others)
        torch.add(places[0][:size], places[1][:size], out=x_N)
        for place in places[2:]:
            x_N += place[:size]

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank.

        All are contiguous, one a rank; a rank's own is copied, and what is empty is not sent.
        """
        if receives[self._rank].data_ptr() != sends[self._rank].data_ptr():
            receives[self._rank].copy_(sends[self._rank])
        out = {peer: _bytes_of(sends[peer]) for peer in self._others}
        into = {peer: _bytes_of(receives[peer]) for peer in self._others}
        self.sent_bytes += sum(map(len, out.values()))
        longest = {peer: max(len(out[peer]), len(into[peer])) for peer in self._others}
        for first in range(0, max(longest.values()), _PART_BYTES):
            self._exchange_parts(
                {peer: out[peer][first : first + _PART_BYTES] for peer in self._others},
                {peer: into[peer][first : first + _PART_BYTES] for peer in self._others},
            )

    def _exchange_parts(self, out: Mapping[int, Tensor], into: Mapping[int, Tensor]) -> None:
        """Exchange what fits a part, with those ranks to or from which something is left."""
        peers = [peer for peer in self._others if len(out[peer]) or len(into[peer])]
        for peer in peers:
            parts = self._parts[self._part_turns[peer]]
            parts[self._rank, peer, : len(out[peer])] = out[peer]
        self._tell_ready(peers)
        self._await_ready(peers)
        for peer in peers:
            parts = self._parts[self._part_turns[peer]]
            into[peer].copy_(parts[peer, self._rank, : len(into[peer])])
            self._part_turns[peer] = 1 - self._part_turns[peer]

    def collect(self, x: Tensor, target: int, receives: Sequence[Tensor]) -> None:
        """Send a contiguous tensor to one rank, which fills its tensors of all ranks with them."""
        nothing = x.new_empty(0)
        if self._rank == target:
            self.exchange([x if r == target else nothing for r in range(self.size)], receives)
        else:
            sends = [x if rank == target else nothing for rank in range(self.size)]
            self.exchange(sends, [nothing] * self.size)

    def start_send(self, x: Tensor, target: int) -> Sent:
        """Send a contiguous tensor; nobody waits until the peer has received it."""
        self.sent_bytes += x.nbytes
        with _peer_loss():
            self._peers[target].sendall(_LENGTH.pack(x.nbytes))
            self._peers[target].sendall(_bytes_of(x).numpy().data)
        return Sent()

    def receive(self, x: Tensor, source: int) -> Tensor:
        """Wait for a message that fills x, or less of it, and return x."""
        head = bytearray(_LENGTH.size)
        self._read_into(memoryview(head), source)
        (length,) = _LENGTH.unpack(head)
        if not 0 <= length <= x.nbytes:
            message = f"a message of {length} bytes came where {x.nbytes} were awaited"
            raise PeerLost(message)
        self._read_into(_bytes_of(x).numpy().data[:length], source)
        return x

    def close(self) -> None:
        """Let go of the other ranks, who then lose this one."""
        for peer in self._peers.values():
            peer.close()

    def _places_of(self, dtype: torch.dtype) -> list[list[Tensor]]:
        """Return everybody's places for numbers of a type, each by its turn and rank."""
        if dtype not in self._typed:
            self._typed[dtype] = [[place.view(dtype) for place in turn] for turn in self._places]
        return self._typed[dtype]

    def _tell_ready(self, peers: Sequence[int]) -> None:
        with _peer_loss():
            for peer in peers:
                self._peers[peer].sendall(_READY)

    def _await_ready(self, peers: Sequence[int]) -> None:
        for peer in peers:
            word = bytearray(1)
            self._read_into(memoryview(word), peer)
            if word != _READY:
                message = f"rank {peer} says {bytes(word)!r}, needed is that it is ready"
                raise PeerLost(message)

    def _read_into(self, room: memoryview, source: int) -> None:
        """Fill some memory with what comes from a rank."""
        peer = self._peers[source]
        with _peer_loss():
            while len(room):
                size = self._look_into(room, peer)
                if size is None:
                    size = peer.recv_into(room)
                if not size:
                    message = f"rank {source} of this group is gone"
                    raise PeerLost(message)
                room = room[size:]

    def _look_into(self, room: memoryview, peer: socket.socket) -> int | None:
        """Take what comes soon, and return how many bytes it was; None if nothing came."""
        end_s = time.perf_counter() + self._spin_s
        while True:
            try:
                return peer.recv_into(room, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.perf_counter() >= end_s:
                    return None


class Sent:
    """A message that needs no more of the sender."""

    def wait(self, limit: datetime.timedelta = FOREVER) -> bool:
        """Say that it is on its way."""
        del limit
        return True


def _bytes_of(x: Tensor) -> Tensor:
    """Return the bytes of a contiguous tensor."""
    return x.view(-1).view(torch.uint8)


@contextmanager
def _peer_loss() -> Iterator[None]:
    """Turn what sockets raise into PeerLost."""
    try:
        yield
    except OSError as error:
        raise PeerLost(str(error)) from error
