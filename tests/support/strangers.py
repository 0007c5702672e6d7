"""Who is no part of a launch: what they send to its ports, and what they try there."""

from __future__ import annotations

import subprocess
import sys

from support.networks import Network

SSH = ":2222"
GARBAGE = """
import socket, sys
for port in sys.argv[2:]:
    for data in (b"GET / HTTP/1.1\\r\\n\\r\\n", bytes(range(256)) * 64, b"\\xff" + bytes(9)):
        with socket.create_connection((sys.argv[1], int(port)), timeout=5) as stranger:
            stranger.sendall(data)
"""
STRANGER = """
import sys, zmq
context = zmq.Context()
for address in sys.argv[1:]:
    for kind in (zmq.PUSH, zmq.PULL):
        plain, curve = context.socket(kind), context.socket(kind)
        curve.curve_publickey, curve.curve_secretkey = zmq.curve_keypair()
        curve.curve_serverkey, _ = zmq.curve_keypair()
        for one in (plain, curve):
            one.linger = 0
            monitor = one.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            one.connect(address)
            assert not monitor.poll(700), address
            one.disable_monitor()
            one.close()
"""


def listeners(network: Network, index: int | None) -> set[str]:
    """Return where TCP sockets listen on a host, or at the desk: `ADDRESS:PORT`, but for ssh."""
    at = network.at_desk() if index is None else ["ip", "netns", "exec", network.space(index)]
    found = subprocess.run([*at, "ss", "-Hltn"], check=True, capture_output=True, text=True).stdout
    places = {line.split()[3] for line in found.splitlines()}
    return {place for place in places if not place.endswith(SSH)}


def ports(network: Network, index: int) -> list[str]:
    """Return the ports at which a launch listens at a host's address."""
    own = f"{network.address(index)}:"
    return [one.removeprefix(own) for one in listeners(network, index) if one.startswith(own)]


def send_garbage(network: Network, index: int) -> None:
    """Send what no protocol means to every port of a host, from the desk."""
    _at_desk(network, GARBAGE, network.address(index), *ports(network, index))


def come_with_other_keys(network: Network, index: int) -> None:
    """Call every port of a host without keys and with those of nobody, from the desk: in vain."""
    address = network.address(index)
    _at_desk(network, STRANGER, *(f"tcp://{address}:{port}" for port in ports(network, index)))


def _at_desk(network: Network, code: str, *words: str) -> None:
    program = network.at_desk(sys.executable, "-c", code, *words)
    subprocess.run(program, check=True, timeout=120)
