"""Edges of ZeroMQ messages, where whoever connects has proved who it is.

Inside a machine an edge is a socket file in a folder that only this user may enter. Between
machines it is TCP under CURVE, which encrypts, and lets in only those who hold a key of the launch.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from dataclasses import replace
from threading import Lock
from typing import Final

import torch
import zmq
from torch import Tensor
from zmq.auth.thread import ThreadAuthenticator

from hexplan.errors import HexplanError, LaunchError
from hexplan.field_types import Compression
from hexplan_runtime.batch import Batch
from hexplan_runtime.net.addresses import socket_file as socket_file
from hexplan_runtime.net.call_watch import CallWatch
from hexplan_runtime.net.gloo import EdgeOver, PeerLost
from hexplan_runtime.net.keys import Doorkeeper, LaunchKeys
from hexplan_runtime.net.meeting import MEETING, Control
from hexplan_runtime.net.wire import FRAME_BYTES, Decoder, Encoder, WireFormat

_RECONNECT_MS: Final = 10
"""How often to try an address where nobody listens yet."""
_UNDER_WAY: Final = 2
"""One batch on its way and one behind it keep a link busy; others wait where decodes can pass."""
_LOOK_MS: Final = 1000
"""How often a receiver looks whether it is to end."""


class MessageEnds:
    """One process's ends of its edges.

    Parameters
    ----------
    keys
        Needed for edges over TCP; socket files need none.
    lose
        Takes the address that this process had called over TCP when that connection is lost.
    """

    def __init__(
        self,
        wire_format: WireFormat,
        keys: LaunchKeys | None = None,
        lose: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._wire_format = wire_format
        self._keys = keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._senders: list[MessageSender] = []
        self._receivers: list[MessageReceiver] = []
        self._controls: list[Control] = []
        self._doorkeeper: ThreadAuthenticator | None = None
        self._watch = CallWatch(lose)

    def receiver(self, address: str, *, calls: bool = False, epoch: int = 0) -> MessageReceiver:
        """Listen at an address (`socket_file`, or `tcp_address`) for the batches of one edge.

        An end that calls connects to the other one instead, which listens, now or later. What is
        of an earlier epoch is dropped.
        """
        socket = self._socket(zmq.PULL, address)
        self._open(socket, address, calls=calls)
        self._receivers.append(MessageReceiver(socket, self._wire_format, epoch))
        return self._receivers[-1]

    def sender(
        self, address: str, *, calls: bool = True, epoch: int = 0, compress: Compression = "none"
    ) -> MessageSender:
        """Send to whoever listens at an address, now or later; or listen for who wants to hear."""
        socket = self._socket(zmq.PUSH, address)
        self._open(socket, address, calls=calls)
        sent_as = replace(self._wire_format, compress=compress)
        self._senders.append(MessageSender(socket, sent_as, epoch))
        return self._senders[-1]

    def control(self, address: str, *, calls: bool) -> Control:
        """Open one end of a connection over TCP on which both ends speak, as strangers cannot."""
        socket = self._socket(zmq.DEALER, address)
        self._open(socket, address, calls=calls)
        self._controls.append(Control(socket))
        return self._controls[-1]

    def await_calls(self, timeout_s: float, only: Collection[str] | None = None) -> tuple[str, ...]:
        """Wait until all calls over TCP are up, or only some, and return those that are not."""
        return self._watch.await_all(timeout_s, only)

    def forget(self, address: str) -> None:
        """Take a call for lost no more, as its end is about to be closed."""
        self._watch.forget(address)

    def close(self) -> None:
        """Close all ends; a receiver that waits raises `PeerLost`. No sender may be in use."""
        self._watch.close()
        for sender in self._senders:
            sender.close()
        for control in self._controls:
            control.close()
        for receiver in self._receivers:
            receiver.close()
        if self._doorkeeper is not None:
            self._doorkeeper.stop()
        self._context.term()

    def _socket(self, kind: int, address: str) -> zmq.Socket[bytes]:
        if address.startswith("tcp:") and self._keys is None:
            raise HexplanError("an edge over TCP needs the keys of its launch")
        socket = self._context.socket(kind)
        socket.sndhwm = _UNDER_WAY
        socket.rcvhwm = 0  # what arrives is taken at once, and bounded by what the router admits
        socket.rcvtimeo = _LOOK_MS
        socket.linger = 0
        socket.reconnect_ivl = _RECONNECT_MS
        socket.ipv6 = address.startswith("tcp://[")
        return socket

    def _open(self, socket: zmq.Socket[bytes], address: str, *, calls: bool) -> None:
        """Listen at an address, or call it; over TCP either end proves who it is."""
        if self._keys is not None and address.startswith("tcp:"):
            if calls:
                self._watch.add(socket, address)
                socket.curve_serverkey = self._keys.listeners.public
                own = self._keys.callers
            else:
                self._keep_strangers_out(self._keys)
                socket.curve_server = True
                own = self._keys.listeners
            socket.curve_secretkey, socket.curve_publickey = own.secret, own.public
        if not calls:
            _listen(socket, address)
        else:
            socket.connect(address)

    def _keep_strangers_out(self, keys: LaunchKeys) -> None:
        if self._doorkeeper is None:
            self._doorkeeper = ThreadAuthenticator(self._context)
            self._doorkeeper.start()
            self._doorkeeper.configure_curve_callback("*", Doorkeeper(keys.callers.public))


def _listen(socket: zmq.Socket[bytes], address: str) -> None:
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        message = f"cannot listen at {address}: {error.strerror}"
        hint = "does another program use the port? Without `--ports` the system picks free ones"
        raise LaunchError(message, hint=hint) from error


class MessageSender:
    """The end that batches leave from; one thread uses it."""

    def __init__(self, socket: zmq.Socket[bytes], wire_format: WireFormat, epoch: int = 0) -> None:
        self._socket = socket
        self._encoder = Encoder(wire_format, epoch)
        self.epoch = epoch
        self.address = bytes(socket.get(zmq.LAST_ENDPOINT)).decode()
        """Where it listens, with the port that the system chose, or whom it calls."""

    @property
    def has_room(self) -> bool:
        """Whether the next batch would go at once."""
        return bool(self._socket.poll(0, zmq.POLLOUT))

    def begin_epoch(self, epoch: int) -> None:
        """Begin anew, as the process at the other end does; it drops what was sent before."""
        self._encoder.begin_epoch(epoch)
        self.epoch = epoch

    def forget(self, requests: Collection[int]) -> None:
        """Forget requests that are over without an end of theirs having been sent."""
        for request in requests:
            self._encoder.opened.pop(request, None)

    def send(self, batch: Batch) -> None:
        """Send a batch, once there is room for it."""
        parts = [_bytes(part) for part in self._encoder.pack(batch)]
        self._socket.send_multipart(parts, copy=True)

    def close(self) -> None:
        """Give up what is not sent yet."""
        self._socket.close()


class MessageReceiver:
    """The end that batches arrive at; one thread uses it."""

    def __init__(self, socket: zmq.Socket[bytes], wire_format: WireFormat, epoch: int = 0) -> None:
        self._socket = socket
        self._decoder = Decoder(wire_format, epoch)
        self._in_use = Lock()
        self._is_over = False
        self.address = bytes(socket.get(zmq.LAST_ENDPOINT)).decode()
        """Where it listens, with the port that the system chose, or whom it calls."""

    def close(self) -> None:
        """Close it unless a thread waits for a batch, which will hear of the end by itself."""
        if self._in_use.acquire(blocking=False):
            self._socket.close()
            self._in_use.release()

    def end(self) -> None:
        """Have whoever waits for a batch close this end soon."""
        self._is_over = True

    def receive(self) -> Batch:
        """Wait for the next batch; those of an epoch that is over are dropped.

        Raises
        ------
        EdgeOver
            Somebody has called `end`.
        PeerLost
            The ends of this process were closed.
        HexplanError
            A message is not of this launch, or torn.
        """
        batch = None
        while batch is None:
            batch = self._receive()
        return batch

    def _receive(self) -> Batch | None:
        """Wait for a message, and return its batch unless it is old."""
        try:
            with self._in_use:
                parts = self._socket.recv_multipart()
        except zmq.Again:
            if self._is_over:
                self._socket.close()
                raise EdgeOver from None
            return None
        except zmq.ContextTerminated as error:
            self._socket.close()
            raise PeerLost("this process has closed its edges") from error
        except zmq.ZMQError as error:
            message = f"an edge failed: {error}"
            raise PeerLost(message) from error
        if parts[0] == MEETING:
            return None
        try:
            return _batch([bytearray(part) for part in parts], self._decoder)
        except (struct.error, ValueError, RuntimeError) as error:
            message = f"a message arrived that is torn: {error}"
            raise HexplanError(message) from error


def _batch(parts: list[bytearray], decoder: Decoder) -> Batch | None:
    """Read the parts of one message; None if it is of an epoch that is over."""
    frame, *rest = parts
    if len(frame) > FRAME_BYTES:
        message = f"a frame of {len(frame)} bytes, at most {FRAME_BYTES} are sent"
        raise ValueError(message)
    envelope = decoder.unpack(torch.frombuffer(frame, dtype=torch.uint8))
    if envelope.is_old:
        return None
    filled = envelope.parts
    if not envelope.is_complete:
        payload = iter(rest)
        filled = [_filled(part, next(payload, bytearray())) for part in filled]
        rest = list(payload)
    batch = decoder.complete(envelope, filled)
    found = sum(len(part) for part in (batch.token_ids, batch.hidden) if part is not None)
    if rest or found != batch.tokens:
        raise ValueError("its rows and its payload disagree")
    return batch


def _filled(like: Tensor, data: bytearray) -> Tensor:
    """Return a tensor like another of these bytes."""
    if len(data) != like.nbytes:
        message = f"a payload of {len(data)} bytes where {like.nbytes} were announced"
        raise ValueError(message)
    return torch.frombuffer(data, dtype=like.dtype).view(like.shape)


def _bytes(part: Tensor) -> memoryview:
    """Return the bytes of a tensor of any type."""
    return part.reshape(-1).view(torch.uint8).numpy().data
