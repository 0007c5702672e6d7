"""Hosts in sites of their own: ssh servers in namespaces on a wire, each with part of a processor.

The wire, the ssh servers and the desk are those of the tests (`tests/support`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.networks import DESK
from support.sites import Sites, sites
from support.ssh_hosts import SshHosts, ssh_hosts

_CPU: Final = Path("/sys/fs/cgroup/cpu")
_PERIOD_US: Final = 5000
"""A step is longer, so that all steps are slowed down alike."""


@dataclass(frozen=True, slots=True)
class SiteHost:
    """A host with one device, and where it is."""

    name: str
    site: str
    share: float = 1.0
    """Part of a processor that it has."""

    @property
    def device(self) -> str:
        """The name of its kind of device: kinds have parts of a processor."""
        return f"core{round(100 * self.share)}"


@dataclass(frozen=True, slots=True)
class SiteLink:
    """What lies between two sites, both ways."""

    first: str
    second: str
    latency_s: float
    mbit_per_s: float


@contextmanager
def hosts_in_sites(
    hosts: Sequence[SiteHost], links: Sequence[SiteLink], folder: Path
) -> Iterator[SshHosts]:
    """Give hosts that answer ssh, and a desk at the site of the first, joined as links say."""
    with ssh_hosts(len(hosts), folder, sites) as made:
        assert isinstance(made.network, Sites)
        _join(made.network, hosts, made.addresses, links)
        with parts_of_processors(hosts) as groups:
            cores = sorted(os.sched_getaffinity(0))
            for number, (server, group) in enumerate(zip(made.servers, groups, strict=True)):
                for task in Path(f"/proc/{server.pid}/task").iterdir():
                    os.sched_setaffinity(int(task.name), {cores[number % len(cores)]})
                (group / "cgroup.procs").write_text(str(server.pid))
            yield made


def _join(
    network: Sites, hosts: Sequence[SiteHost], addresses: Sequence[str], links: Sequence[SiteLink]
) -> None:
    between = {frozenset((link.first, link.second)): link for link in links}
    places = [(DESK, hosts[0].site)]
    places += [(address, host.site) for host, address in zip(hosts, addresses, strict=True)]
    for number, (address, site) in enumerate(places):
        for other, its_site in places[:number]:
            link = between.get(frozenset((site, its_site)))
            if link is not None:
                network.join(other, address, link.latency_s, link.mbit_per_s)


@contextmanager
def parts_of_processors(hosts: Sequence[SiteHost]) -> Iterator[list[Path]]:
    """Give a control group for each host, whose processes have its part of a processor."""
    # Inside a group niceness counts among its own processes alone, so the group gets its weight.
    weight = max(2, round(1024 * 1.25 ** -os.nice(0)))
    groups = [_CPU / f"hexplan-{os.getpid()}-{host.name}" for host in hosts]
    try:
        for group, host in zip(groups, hosts, strict=True):
            group.mkdir()
            (group / "cpu.shares").write_text(str(weight))
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            quota = round(host.share * _PERIOD_US) if host.share < 1 else -1
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        yield groups
    finally:
        for group in filter(Path.exists, groups):
            for pid in (group / "cgroup.procs").read_text().split():
                (_CPU / "cgroup.procs").write_text(pid)
            group.rmdir()


def run_in(group: Path, words: Sequence[str]) -> None:
    """Run a command that must succeed, with no more than a group's part of a processor."""
    script = 'echo $$ > "$0"; exec "$@"'
    subprocess.run(["/bin/sh", "-c", script, str(group / "cgroup.procs"), *words], check=True)  # noqa: S603
