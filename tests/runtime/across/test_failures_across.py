"""What dies across hosts: it is named soon, and everything of the launch is gone soon after."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.launched import Coordinator, launched
from support.processes import wait_until
from support.ssh_hosts import SshHosts

from hexplan.plan import Plan

Harm = Callable[[SshHosts, Coordinator], None]


def kill_rank(hosts: SshHosts, coordinator: Coordinator) -> None:
    os.kill(hosts.ranks(1)[0], signal.SIGKILL)


def stop_rank(hosts: SshHosts, coordinator: Coordinator) -> None:
    os.kill(hosts.ranks(1)[0], signal.SIGSTOP)


def kill_agent(hosts: SshHosts, coordinator: Coordinator) -> None:
    os.kill(hosts.agent(1), signal.SIGKILL)


def stop_agent(hosts: SshHosts, coordinator: Coordinator) -> None:
    os.kill(hosts.agent(1), signal.SIGSTOP)


def kill_coordinator(hosts: SshHosts, coordinator: Coordinator) -> None:
    coordinator.process.kill()


def unplug(hosts: SshHosts, coordinator: Coordinator) -> None:
    set_port(hosts, 1, "down")


def part(hosts: SshHosts, coordinator: Coordinator) -> None:
    """Keep the two hosts from each other; the coordinator reaches both."""
    hosts.network.part(0, 1)


def set_port(hosts: SshHosts, index: int, state: str) -> None:
    words = ("ip", "link", "set", "dev", f"to{index}", state)
    subprocess.run(hosts.network.at_desk(*words), check=True)


def join(hosts: SshHosts) -> None:
    """Undo what keeps hosts from others."""
    for index in (0, 1):
        set_port(hosts, index, "up")
        port = ("ip", "link", "set", "dev", f"to{index}", "type", "bridge_slave")
        subprocess.run(hosts.network.at_desk(*port, "isolated", "off"), check=True)


def is_clean(hosts: SshHosts) -> bool:
    """Say whether nothing of a launch is left on the hosts: no process, and so no listener."""
    return not any(hosts.processes(index) for index in (0, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (kill_rank, r"stage s1 rank 0 \(bob, device 2\) was ended by SIGKILL"),
        (stop_rank, r"stage s1 rank 0 \(bob, device 2\) is stopped"),
        (kill_agent, r"host bob \(10\.77\.0\.11\): its agent ended"),
        (stop_agent, r"host bob: no word from its agent for 3 s"),
        (unplug, r"host bob: no word from its agent for 3 s"),
        (part, r"stage s. rank 0 \(.*\): edge s. > s.: the connection .* is lost"),
        (kill_coordinator, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_fails_is_named_and_nothing_of_the_launch_is_left(
    hosts: SshHosts, plan: Plan, llama: Path, harm: Harm, named: str | None
) -> None:
    with launched(hosts, plan, llama) as coordinator:
        assert len(coordinator.generate(3)) == 3
        coordinator.tell("endless")
        try:
            harm(hosts, coordinator)
            if named is not None:
                failed = coordinator.hear()
                assert failed["event"] == "failed"
                assert re.search(named, failed["message"]), failed
            assert wait_until(lambda: is_clean(hosts))
        finally:
            join(hosts)
