"""What dies or is cut off across hosts: streams go on elsewhere, and the stage comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.across import plan_across
from support.launched import Coordinator, launched
from support.processes import wait_until
from support.ssh_hosts import SshHosts, ssh_hosts

from hexplan.model import Model

TOKENS = 60
CUT_S = 12.0
"""Longer than it takes until a host that is cut off has ended its ranks."""
BACK_S = 150.0
Harm = Callable[[SshHosts], None]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHosts]:
    with ssh_hosts(3, tmp_path_factory.mktemp("three")) as made:
        yield made


@pytest.fixture(scope="module")
def coordinator(three: SshHosts, llama_model: Model, llama: Path) -> Iterator[Coordinator]:
    """Give a launch of two routes: two stages in a row, and one stage alone."""
    stages = [((0, 2), (1,)), ((2, 4), (1,)), ((0, 4), (1,))]
    routes = [((0, 1), 50), ((2,), 50)]
    plan = plan_across(llama_model, stages, three.addresses, routes)
    with launched(three, plan, llama, heals=True) as running:
        yield running


def kill_rank(hosts: SshHosts) -> None:
    os.kill(hosts.ranks(1)[0], signal.SIGKILL)


def stop_rank(hosts: SshHosts) -> None:
    os.kill(hosts.ranks(0)[0], signal.SIGSTOP)


def kill_agent(hosts: SshHosts) -> None:
    os.kill(hosts.agent(2), signal.SIGKILL)


def cut_off(hosts: SshHosts) -> None:
    """Unplug a host for a while."""
    set_port(hosts, "down")
    time.sleep(CUT_S)
    set_port(hosts, "up")


def set_port(hosts: SshHosts, state: str) -> None:
    words = ("ip", "link", "set", "dev", "to1", state)
    subprocess.run(hosts.network.at_desk(*words), check=True)


def ask(coordinator: Coordinator, line: str) -> dict[str, object]:
    coordinator.tell(line)
    return coordinator.hear()


@pytest.mark.slow
@pytest.mark.parametrize("harm", [kill_rank, stop_rank, kill_agent, cut_off])
def test_streams_end_with_the_same_tokens_and_what_was_lost_comes_back(
    three: SshHosts, coordinator: Coordinator, harm: Harm
) -> None:
    expected = ask(coordinator, f"many {TOKENS}")
    lost = sum(ask(coordinator, "seen")["generations"])  # type: ignore[call-overload]
    coordinator.tell(f"many {TOKENS}")
    harm(three)
    assert coordinator.hear() == expected

    def is_back() -> bool:
        seen = ask(coordinator, "seen")
        return not seen["masked"] and sum(seen["generations"]) > lost  # type: ignore[call-overload]

    deadline_s = time.monotonic() + BACK_S
    while not is_back() and time.monotonic() < deadline_s:
        time.sleep(0.5)
    assert is_back()
    assert ask(coordinator, f"many {TOKENS}") == expected
    assert wait_until(lambda: all(len(three.ranks(index)) == 1 for index in range(3)))
