"""How the ranks of one host meet, to share memory: in a folder that only their user may enter."""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import struct
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hexplan_runtime.net.addresses import short_path
from hexplan_runtime.net.gloo import FOREVER, PeerLost, Rendezvous, local_store
from hexplan_runtime.net.host_group import SPIN_S, HostGroup, shared_bytes
from hexplan_runtime.net.transport import TeamGroup

_LOOK_S: Final = 0.01
"""How long to wait before another look for a rank that does not listen yet."""
_FIRST: Final = 0
"""The rank that makes the memory."""
_RANK: Final = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class HostMeeting:
    """Where the ranks of a host find each other; only those with the nonce know the names."""

    folder: Path
    """A folder that only this user may enter."""
    nonce: str
    limit_s: float = FOREVER.total_seconds()
    """How long to wait for the rest of a group."""

    def meet(self, name: str, rank: int, size: int, spin_s: float = SPIN_S) -> TeamGroup:
        """Return the group of this name, once all its ranks are here.

        Where the system cannot share memory in this way, it is a gloo group.

        Raises
        ------
        PeerLost
            Others did not come in time, or went.
        LaunchError
            The path of the folder is longer than the system takes.
        """
        if sys.platform != "linux":
            return Rendezvous(local_store(self.folder), self.nonce).meet(name, rank, size)
        try:
            return self._meet(name, rank, size, spin_s)
        except OSError as error:
            message = f"{name}: {error}"
            raise PeerLost(message) from error

    def _meet(self, name: str, rank: int, size: int, spin_s: float) -> HostGroup:
        end_s = time.monotonic() + self.limit_s
        with ExitStack() as on_failure:
            peers: dict[int, socket.socket] = {}
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                own = self._file(name, rank)
                listener.bind(str(own))
                listener.listen(size)
                for peer in range(rank):
                    peers[peer] = on_failure.enter_context(self._call(name, peer, end_s))
                    peers[peer].sendall(_RANK.pack(rank))
                while len(peers) < size - 1:
                    listener.settimeout(max(0.0, end_s - time.monotonic()))
                    caller = on_failure.enter_context(listener.accept()[0])
                    peers[_rank_of(caller, end_s)] = caller
                own.unlink()
            memory = _shared(rank, peers, end_s)
            for connection in peers.values():
                connection.settimeout(None)
            on_failure.pop_all()
        return HostGroup(rank, memory, peers, spin_s)

    def _file(self, name: str, rank: int) -> Path:
        """Return where a rank of a group listens."""
        mark = hashlib.blake2b(f"{self.nonce}/{name}".encode(), digest_size=4).hexdigest()
        return short_path(self.folder / f"{mark}{rank}")

    def _call(self, name: str, peer: int, end_s: float) -> socket.socket:
        """Connect to a rank as soon as it listens."""
        file = str(self._file(name, peer))
        while True:
            caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            caller.settimeout(max(0.0, end_s - time.monotonic()))
            try:
                caller.connect(file)
            except (FileNotFoundError, ConnectionRefusedError):
                caller.close()
                if time.monotonic() >= end_s:
                    raise
                time.sleep(_LOOK_S)
            else:
                return caller


def _rank_of(caller: socket.socket, end_s: float) -> int:
    """Return which rank calls."""
    caller.settimeout(max(0.0, end_s - time.monotonic()))
    words = caller.recv(_RANK.size)
    if len(words) != _RANK.size:
        raise PeerLost("a rank of this group called, and is gone")
    (rank,) = _RANK.unpack(words)
    return int(rank)


def _shared(rank: int, peers: dict[int, socket.socket], end_s: float) -> mmap.mmap:
    """Return memory that all ranks of a group have."""
    num_bytes = shared_bytes(len(peers) + 1)
    if rank == _FIRST:
        file = os.memfd_create("hexplan-group")
        os.ftruncate(file, num_bytes)
        for peer in peers.values():
            socket.send_fds(peer, [b"m"], [file])
    else:
        peers[_FIRST].settimeout(max(0.0, end_s - time.monotonic()))
        _, files, _, _ = socket.recv_fds(peers[_FIRST], 1, 1)
        if len(files) != 1:
            raise PeerLost("the first rank of this group is gone")
        (file,) = files
    try:
        return mmap.mmap(file, num_bytes)
    finally:
        os.close(file)
