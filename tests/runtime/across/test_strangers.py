"""Who may not take part in a launch, and what they can read: nothing, and nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest
from support.coordinator import SEED
from support.launched import Running
from support.sniffer import capture
from support.strangers import come_with_other_keys, ports, send_garbage

NUM_TOKENS = 12
NUM_REQUESTS = 40


@pytest.mark.slow
def test_garbage_on_every_port_and_strangers_harm_no_request_under_way(running: Running) -> None:
    expected = running.coordinator.generate(NUM_TOKENS)
    for _ in range(NUM_REQUESTS):
        running.coordinator.tell(f"{NUM_TOKENS} 1 2 3")
    for index in (0, 1):
        assert len(ports(running.hosts.network, index)) == 2
        send_garbage(running.hosts.network, index)
        come_with_other_keys(running.hosts.network, index)
    found = [running.coordinator.hear()["tokens"] for _ in range(NUM_REQUESTS)]
    assert found == [expected] * NUM_REQUESTS
    assert running.coordinator.generate(NUM_TOKENS) == expected


def test_prompts_cannot_be_read_on_the_wire(running: Running, tmp_path: Path) -> None:
    """The first host's device carries prompts in, and activations out.

    Inside that host its two ranks tell each other the same over loopback, as it is.
    """
    frames = tmp_path / "frames"
    prompt = Random(7).choices(range(256), k=12)
    with capture(running.hosts.network.space(0), frames):
        running.coordinator.generate(NUM_TOKENS, prompt)
    seen = frames.read_bytes()
    assert seen.count(b"\x07MESSAGE") >= NUM_TOKENS  # encrypted messages of edges were seen
    assert struct.pack("<12q", *prompt) not in seen  # as the frames of a wire have them
    assert struct.pack("<q", SEED) not in seen
