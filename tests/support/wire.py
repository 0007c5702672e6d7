"""A wire between namespaces: `python wire.py ADDRESS=NAMESPACE...`, till stdin ends.

Each namespace gets a TUN device `eth` with its address, and this process passes packets between
them, as some kernels lack netem. Lines on stdin change a pair, both ways: `ADDRESS ADDRESS DELAY_S
BYTES_PER_S LOSS`; a loss of 1 parts the two. `shut ADDRESS ADDRESS` lets the first open no
connection to the second, as NAT and many firewalls do, and the second still those to the first.
Each line is answered, and so is the start.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

TUN_SET_INTERFACE = 0x400454CA
TUN_WITHOUT_HEADER = 0x0001 | 0x1000
MOST_BYTES = 65536
MTU = "9000"
QUEUE_S = 0.2
QUEUE_BYTES = 65536
"""What would wait for longer, and behind more than this, is dropped, as routers do."""
TARGET = slice(16, 20)
"""Where an IPv4 packet has its target; its source is before it."""
SOURCE = slice(12, 16)
PROTOCOL = 9
FLAGS = 13
"""Where a TCP header has its flags."""
SYN, ACK = 2, 16


@dataclass(slots=True)
class Pair:
    """What a pair of hosts has between them, one way."""

    delay_s: float = 0.0
    bytes_per_s: float = float("inf")
    loss: float = 0.0
    free_at_s: float = 0.0


@dataclass(slots=True)
class Wire:
    """Passes packets on."""

    devices: dict[bytes, int] = field(default_factory=dict)
    shut: set[tuple[bytes, bytes]] = field(default_factory=set)
    """Who may open no connection to whom."""
    pairs: dict[tuple[bytes, bytes], Pair] = field(default_factory=lambda: defaultdict(Pair))
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    number: int = 0
    dice: Random = field(default_factory=lambda: Random(0))

    def change(self, line: str) -> None:
        """Do what a line says."""
        first, second, *numbers = line.removeprefix("shut ").split()
        ends = socket.inet_aton(first), socket.inet_aton(second)
        if line.startswith("shut "):
            self.shut.add(ends)
            return
        for pair in (ends, ends[::-1]):
            self.pairs[pair] = Pair(*map(float, numbers))

    def take(self, packet: bytes) -> None:
        """Let a packet wait as long as its way takes, or drop it."""
        source, target = packet[SOURCE], packet[TARGET]
        if packet[0] >> 4 != 4 or target not in self.devices:
            return
        if (source, target) in self.shut and opens_connection(packet):
            return
        pair = self.pairs[source, target]
        now_s = time.monotonic()
        begun_s = max(now_s, pair.free_at_s)
        longest_s = max(QUEUE_S, QUEUE_BYTES / pair.bytes_per_s)
        if self.dice.random() < pair.loss or begun_s - now_s > longest_s:
            return
        pair.free_at_s = begun_s + len(packet) / pair.bytes_per_s
        self.number += 1
        heapq.heappush(self.waiting, (pair.free_at_s + pair.delay_s, self.number, packet))

    def give(self) -> float | None:
        """Deliver what is due, and return how long the next packet has to wait."""
        while self.waiting:
            left_s = self.waiting[0][0] - time.monotonic()
            if left_s > 0:
                return left_s
            packet = heapq.heappop(self.waiting)[2]
            os.write(self.devices[packet[TARGET]], packet)
        return None


def opens_connection(packet: bytes) -> bool:
    """Say whether it is the first packet of a TCP connection: SYN without ACK."""
    flags = packet[4 * (packet[0] & 15) + FLAGS] if packet[PROTOCOL] == socket.IPPROTO_TCP else 0
    return flags & (SYN | ACK) == SYN


def open_device(address: str, namespace: str) -> int:
    """Open a device, and put its other side into a namespace."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"hx{os.getpid() % 10**6}x{address.rpartition('.')[2]}"
    request = struct.pack("16sH14x", name.encode(), TUN_WITHOUT_HEADER)
    fcntl.ioctl(device, TUN_SET_INTERFACE, request)
    run("ip", "link", "set", name, "netns", namespace)
    here = ("ip", "-netns", namespace)
    run(*here, "link", "set", name, "name", "eth", "mtu", MTU)
    run(*here, "address", "add", f"{address}/24", "dev", "eth")
    for each in ("lo", "eth"):
        run(*here, "link", "set", each, "up")
    return device


def run(*words: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(words, check=True)


def main() -> None:
    """Pass packets on until stdin ends."""
    wire = Wire()
    for word in sys.argv[1:]:
        address, _, namespace = word.partition("=")
        device = open_device(address, namespace)
        wire.devices[socket.inet_aton(address)] = device
    # Not epoll, whose waits are whole milliseconds: packets would be late by half a one on average.
    readable = [*wire.devices.values(), sys.stdin.fileno()]
    print("ready", flush=True)
    while True:
        for device in select.select(readable, (), (), wire.give())[0]:
            if device != sys.stdin.fileno():
                for _ in range(16):
                    try:
                        wire.take(os.read(device, MOST_BYTES))
                    except BlockingIOError:
                        break
            elif line := sys.stdin.readline():
                wire.change(line)
                print("done", flush=True)
            else:
                return


if __name__ == "__main__":
    main()
