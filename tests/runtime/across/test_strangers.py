"""Who may not take part in a launch, and what they can read: nothing, and nothing."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from random import Random

from support.launched import Running

NUM_TOKENS = 12
SNIFFER = str(Path(__file__).parents[2] / "support" / "sniffer.py")
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


def ports(running: Running, index: int) -> list[str]:
    """Return the ports of edges on a host."""
    network = running.hosts.network
    words = ("ip", "netns", "exec", network.space(index), "ss", "-Hltn")
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    own = f"{network.address(index)}:"
    listening = (line.split()[3] for line in found.splitlines())
    return [one.removeprefix(own) for one in listening if one.startswith(own)]


def at_desk(running: Running, code: str, *words: str) -> None:
    """Run Python at the desk, which reaches every host."""
    program = running.hosts.network.at_desk(sys.executable, "-c", code, *words)
    subprocess.run(program, check=True, timeout=120)


def test_garbage_on_every_port_and_strangers_harm_nobody(running: Running) -> None:
    expected = running.coordinator.generate(NUM_TOKENS)
    for index, address in enumerate(running.hosts.addresses):
        open_ports = [port for port in ports(running, index) if port != "2222"]
        assert len(open_ports) == 2
        at_desk(running, GARBAGE, address, *open_ports)
        at_desk(running, STRANGER, *(f"tcp://{address}:{port}" for port in open_ports))
    assert running.coordinator.generate(NUM_TOKENS) == expected


def test_prompts_cannot_be_read_on_the_wire(running: Running, tmp_path: Path) -> None:
    """The first host's device carries prompts in, and activations out.

    Inside that host its two ranks tell each other the same over loopback, as it is.
    """
    words = ("ip", "netns", "exec", running.hosts.network.space(0), sys.executable)
    frames = tmp_path / "frames"
    with subprocess.Popen(
        [*words, SNIFFER, "eth", str(frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as sniffer:
        assert sniffer.stdout is not None
        assert sniffer.stdin is not None
        assert sniffer.stdout.readline() == b"listening\n"
        prompt = Random(7).choices(range(256), k=12)
        running.coordinator.generate(NUM_TOKENS, prompt)
        sniffer.stdin.close()
        assert sniffer.wait(30) == 0
    seen = frames.read_bytes()
    assert seen.count(b"\x07MESSAGE") >= NUM_TOKENS  # encrypted messages of edges were seen
    assert struct.pack("<12q", *prompt) not in seen  # as the frames of a wire have them
