"""Hosts of a test network that answer ssh, and a client that knows their keys."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.networks import Network, network
from support.processes import command_line

from hexplan_runtime.processes.command import SSH

PORT = 2222
RANK = "hexplan_runtime.stage.worker"
AGENT = "hexplan_runtime.agent.main"


@dataclass(frozen=True, slots=True)
class SshHosts:
    """A network in which every host answers ssh, to one key."""

    network: Network
    folder: Path
    num_hosts: int
    servers: list[subprocess.Popen[bytes]]

    @property
    def addresses(self) -> list[str]:
        """The addresses of the hosts."""
        return [self.network.address(index) for index in range(self.num_hosts)]

    @property
    def ssh(self) -> tuple[str, ...]:
        """hexplan's own ssh command, with a configuration that knows these hosts."""
        return (SSH[0], "-F", str(self.folder / "config"), *SSH[1:])

    def processes(self, index: int) -> set[int]:
        """Return what runs on a host besides its ssh server."""
        words = ("ip", "netns", "pids", self.network.space(index))
        found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return {int(pid) for pid in found.split()} - {server.pid for server in self.servers}

    def ranks(self, index: int) -> list[int]:
        """Return the ranks on a host."""
        return [pid for pid in self.processes(index) if RANK in command_line(pid)]

    def agent(self, index: int) -> int:
        """Return the agent of a host."""
        pids = self.processes(index)
        return next(pid for pid in pids if command_line(pid)[-1] == AGENT)


@contextmanager
def ssh_hosts(
    num_hosts: int,
    folder: Path,
    joined: Callable[[int], AbstractContextManager[Network]] = network,
) -> Iterator[SshHosts]:
    """Give hosts that answer ssh; a test that cannot have them is skipped."""
    if find_spec("asyncssh") is None:
        pytest.skip("hosts that answer ssh need the package asyncssh")
    with joined(num_hosts) as made:
        for name in ("host", "client"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        public = (folder / "host.pub").read_text()
        known = "".join(f"[{made.address(index)}]:{PORT} {public}" for index in range(num_hosts))
        (folder / "known").write_text(known)
        (folder / "config").write_text(
            f"Host *\n  Port {PORT}\n  User root\n  IdentityFile {folder / 'client'}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder / 'known'}\n"
            "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
        )
        hosts = SshHosts(made, folder, num_hosts, [])
        try:
            for index in range(num_hosts):
                hosts.servers.append(start_server(hosts, index))
            for server in hosts.servers:
                assert server.stdout is not None
                assert server.stdout.readline() == b"listening\n"
            yield hosts
        finally:
            for server in hosts.servers:
                server.kill()
                server.wait()
                assert server.stdout is not None
                server.stdout.close()


def start_server(hosts: SshHosts, index: int) -> subprocess.Popen[bytes]:
    """Start the ssh server of a host."""
    words = (
        sys.executable,
        str(Path(__file__).with_name("ssh_server.py")),
        hosts.network.address(index),
    )
    keys = (str(hosts.folder / "host"), str(hosts.folder / "client.pub"))
    space = ("ip", "netns", "exec", hosts.network.space(index))
    home = hosts.folder / f"home-{index}"
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*space, *words, *keys],
        env=os.environ | {"HOME": str(home)},
        stdout=subprocess.PIPE,
    )


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
