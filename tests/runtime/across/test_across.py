"""A launch across hosts: the tokens of a launch on one machine, and nothing open to others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.launched import Running
from support.processes import command_line, environment
from support.strangers import listeners

from hexplan.plan import Plan
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request

NUM_TOKENS = 24


@pytest.fixture(scope="module")
def expected(plan: Plan, llama: Path) -> list[int]:
    """Return the tokens of the same plan on this machine."""
    with Pipeline(plan, llama) as pipeline:
        return [event.token_id for event in pipeline.generate([Request((1, 2, 3), NUM_TOKENS)])]


def test_tokens_are_those_of_a_launch_on_one_machine(running: Running, expected: list[int]) -> None:
    assert running.coordinator.generate(NUM_TOKENS) == expected


def test_hosts_listen_at_their_addresses_and_the_coordinator_nowhere(running: Running) -> None:
    network = running.hosts.network
    assert listeners(network, None) == set()
    for index, num_edges in enumerate((2, 2)):  # the way back listens at the first stage
        address, found = network.address(index), listeners(network, index)
        assert len(found) == num_edges  # ranks of a stage share memory, and listen nowhere
        assert all(one.startswith(f"{address}:") for one in found)


def test_no_secret_is_in_an_argument_or_a_variable(running: Running) -> None:
    """A key of CURVE is 40 characters of Z85, and a nonce 32 hexadecimal digits."""
    key = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
    pids = running.hosts.processes(0) | running.hosts.processes(1)
    assert len(pids) >= 5  # two agents and three ranks
    for pid in pids | {running.coordinator.process.pid}:
        for word in command_line(pid):
            assert not key.fullmatch(word)
            assert not re.search(r"[0-9a-f]{32}", word)
    variables = {pair.partition("=")[2] for pid in pids for pair in environment(pid)}
    assert not any(key.fullmatch(value) and "/" not in value for value in variables)
