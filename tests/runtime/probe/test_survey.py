"""Surveys with real agents: what is found, who cannot be reached, and who is left behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Event, Thread

import pytest
from support.agents import CHATTY, ELSEWHERE, REFUSING, fake_ssh, mark
from support.processes import listening_addresses, processes_with

from hexplan.errors import InputError
from hexplan.measured.findings import Findings, LinkFinding
from hexplan_runtime.probe import LOOPBACK, HostAddress, ProbeJob, Reach, survey

ADDRESSES = ("127.0.0.2", "127.0.0.3", CHATTY)
HEXADECIMAL = {"0100007F", "0200007F", "0300007F", "0400007F"}


def job(folder: Path, *addresses: str, limit_s: float = 30.0) -> ProbeJob:
    """Return a job for hosts `h0`, `h1`, ... and all links between them."""
    hosts = tuple(HostAddress(f"h{i}", address) for i, address in enumerate(addresses))
    links = tuple((a.host, b.host) for a in hosts for b in hosts if a != b)
    reach = Reach((str(fake_ssh(folder)),), sys.executable)
    return ProbeJob(hosts, links, LOOPBACK, reach, limit_s)


class Follower:
    """Hears of links, and does something at the first one."""

    def __init__(self, stop: Event | None = None) -> None:
        self.stop = stop or Event()
        self.heard: list[LinkFinding] = []

    def __call__(self, link: LinkFinding, done: int, total: int) -> None:
        self.heard.append(link)
        if len(self.heard) == 1:
            self.first()

    def first(self) -> None:
        """Do nothing."""


def agents(*addresses: str) -> set[int]:
    return {pid for address in addresses for pid in processes_with(mark(address))}


def unreachable(findings: Findings) -> dict[str, str]:
    """Return the problem of each link that has one, by its ends."""
    return {f"{x.source}>{x.target}": x.problem for x in findings.links if x.problem is not None}


def test_links_are_measured_and_hosts_that_cannot_be_reached_are_named(tmp_path: Path) -> None:
    """Meanwhile nobody listens anywhere but at the addresses of the hosts and of this process."""
    wanted = job(tmp_path, *ADDRESSES, REFUSING, ELSEWHERE)
    seen: set[str] = set()
    done = Event()

    def watch() -> None:
        while not done.wait(0.01):
            for pid in {os.getpid()} | agents(*ADDRESSES):
                try:
                    seen.update(listening_addresses(pid))
                except FileNotFoundError:
                    continue

    watcher = Thread(target=watch)
    watcher.start()
    follower = Follower()
    try:
        findings = survey(wanted, follower, follower.stop)
    finally:
        done.set()
        watcher.join()
    assert tuple(follower.heard) == findings.links
    assert len(findings.links) == findings.num_links == 20
    assert not findings.is_one_machine
    problems = unreachable(findings)
    measured = [link for link in findings.links if link.problem is None]
    assert {link.source for link in measured} == {"h0", "h1", "h2"}
    assert len(measured) == 6
    for link in measured:
        assert link.latency_s is not None
        assert link.bandwidth_bytes_per_s is not None
        assert 0 < link.latency_s < 30
        assert link.bandwidth_bytes_per_s > 10**6
    assert problems["h0>h3"] == problems["h3>h0"] == "there is no agent on h3"
    by_name = {host.host: host for host in findings.hosts}
    refused = "its agent ended: ssh: connect to host 127.0.0.66 port 22: Connection refused"
    assert by_name["h3"].problem == refused
    assert (by_name["h4"].problem or "").startswith("192.0.2.7 is no address of this machine; ")
    machine = by_name["h2"].machine
    assert machine is not None
    assert machine.cores == len(os.sched_getaffinity(0))
    assert 0 < machine.free_bytes < machine.memory_bytes
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    assert (machine.torch, machine.hexplan) == (findings.torch, findings.hexplan)
    assert seen
    assert seen <= HEXADECIMAL
    assert not agents(*ADDRESSES)


def test_an_agent_that_dies_takes_only_its_own_links_with_it(tmp_path: Path) -> None:
    class Killer(Follower):
        def first(self) -> None:
            (pid,) = agents("127.0.0.3")
            os.kill(pid, signal.SIGKILL)

    killer = Killer()
    findings = survey(job(tmp_path, *ADDRESSES), killer, killer.stop)
    lost = {link for link in unreachable(findings) if "h1" in link}
    assert set(unreachable(findings)) == lost
    assert {"h1>h2", "h2>h1"} <= lost
    reasons = {"there is no agent on h1", "h1: its agent ended"}  # before, or meanwhile
    assert set(unreachable(findings).values()) <= reasons
    assert findings.hosts[1].problem == "its agent ended"
    assert findings.hosts[1].machine is not None  # it was seen before
    assert {"h0", "h2"} <= {link.source for link in findings.links if link.problem is None}


@pytest.mark.slow
def test_an_agent_that_hangs_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopper(Follower):
        def first(self) -> None:
            (pid,) = agents("127.0.0.3")
            os.kill(pid, signal.SIGSTOP)

    monkeypatch.setattr("hexplan_runtime.probe.surveying._GRACE_S", 1.0)
    stopper = Stopper()
    findings = survey(job(tmp_path, *ADDRESSES, limit_s=5.0), stopper, stopper.stop)
    problems = unreachable(findings)
    assert all("h1" in ends for ends in problems)
    assert "h1: its agent did not answer within" in problems["h1>h2"]
    assert {"h0", "h2"} <= {link.source for link in findings.links if link.problem is None}
    assert not agents(*ADDRESSES)


def test_a_request_to_stop_before_the_agents_are_there_finds_nothing(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    findings = survey(job(tmp_path, *ADDRESSES[:2]), Follower(), stop)
    assert findings.links == ()
    assert not findings.is_complete
    assert all(host.machine is None and host.problem is None for host in findings.hosts)


def test_an_address_that_must_not_be_used_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="h1: found the public address"):
        survey(job(tmp_path, "127.0.0.2", "8.8.8.8"), Follower(), Event())
    assert not agents("127.0.0.2")


def test_a_program_that_is_not_there_is_told_for_each_host(tmp_path: Path) -> None:
    wanted = job(tmp_path, "127.0.0.2")
    lost = ProbeJob(wanted.hosts, (), LOOPBACK, Reach(("/nowhere/ssh",)), 5.0)
    findings = survey(lost, Follower(), Event())
    assert findings.hosts[0].problem == "cannot start /nowhere/ssh: No such file or directory"
