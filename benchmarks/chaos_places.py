"""Where chaos happens: on three hosts (network namespaces that answer ssh), or on one machine."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chaos_kernel import command_line, marked, sockets, tcp  # noqa: E402
from chaos_model import NUM_HOSTS  # noqa: E402
from support.networks import DESK  # noqa: E402
from support.sites import PARTED, Sites, sites  # noqa: E402
from support.ssh_hosts import SshHosts, ssh_hosts, start_server  # noqa: E402

RANK: Final = "hexplan_runtime.stage.worker"
AGENT: Final = "hexplan_runtime.agent.main"
KILL_RANK, STOP_RANK = "SIGKILL a rank", "SIGSTOP a rank"
PART, KILL_AGENT, KILL_HOST = "partition", "kill an agent", "kill a host"
KILL_ROUTER: Final = "SIGKILL the router"
_NET: Final = 0x40000000
"""CLONE_NEWNET, from <linux/sched.h>."""
_SERVER_PORT: Final = "08AE"
"""That of the ssh servers, as the kernel writes it."""
_FIRST_PORT: Final = 8123
DELAY_S: Final = 0.1
"""One way between any two machines, as between continents: so tokens take their time, and streams
do not take all cores."""
Harm = Callable[[random.Random], str]


class Place(Protocol):
    """Where a plan is served, and what can be done to it."""

    name: str
    addresses: Sequence[str]
    """Of its hosts, if they are machines of their own."""
    options: Sequence[str]
    """How `serve` reaches them."""
    port: int
    """Where the router answers."""
    harms: Mapping[str, tuple[int, Harm]]
    """For each kind, how often it comes, and what does it and says what it did."""

    def processes(self) -> set[int]:
        """Return all processes of a launch."""

    def surplus(self) -> list[int]:
        """Return agents and ranks beside those that a whole launch has, the oldest ones."""

    def listeners(self) -> int:
        """Return how many sockets listen where none should."""

    def connections(self) -> int:
        """Return how many TCP connections there are on the hosts."""


@dataclass(slots=True)
class Machine:
    """One machine, on which ranks and the router are killed."""

    mark: str
    port: int
    name: str = "one machine"
    addresses: Sequence[str] = ()
    options: Sequence[str] = ()
    harms: Mapping[str, tuple[int, Harm]] = field(init=False)

    def __post_init__(self) -> None:
        self.harms = {
            KILL_RANK: (11, lambda dice: _signal(dice, self._ranks(), signal.SIGKILL)),
            STOP_RANK: (8, lambda dice: _signal(dice, self._ranks(), signal.SIGSTOP)),
        }

    def processes(self) -> set[int]:
        """Return all processes of a launch."""
        return marked(self.mark)

    def surplus(self) -> list[int]:
        """Return ranks beside three and a spare one, the oldest ones."""
        return beside(NUM_HOSTS + 1, (p for p in self.processes() if RANK in command_line(p)))

    def listeners(self) -> int:
        """Return how many processes listen beside the router."""
        used = {number for pid in self.processes() for number in sockets(pid)}
        heard = {at for at, number in tcp(os.getpid(), listens=True) if number in used}
        return len([at for at in heard if int(at.rpartition(":")[2], 16) != self.port])

    def connections(self) -> int:
        """Return none: ranks of one machine have no TCP."""
        return 0

    def _ranks(self) -> list[int]:
        return _busy(pid for pid in self.processes() if RANK in command_line(pid))


@dataclass(slots=True)
class ThreeHosts:
    """Three hosts with networks of their own."""

    hosts: SshHosts
    sites: Sites
    name: str = "three hosts"
    port: int = _FIRST_PORT
    harms: Mapping[str, tuple[int, Harm]] = field(init=False)

    def __post_init__(self) -> None:
        for index in range(NUM_HOSTS):
            self._join_all(index)
        self.harms = {
            KILL_RANK: (16, lambda dice: _signal(dice, self._ranks(), signal.SIGKILL)),
            STOP_RANK: (13, lambda dice: _signal(dice, self._ranks(), signal.SIGSTOP)),
            PART: (6, self._part),
            KILL_AGENT: (6, self._harm_agent),
            KILL_HOST: (5, self._kill_host),
        }

    @property
    def addresses(self) -> Sequence[str]:
        """The addresses of the hosts."""
        return self.hosts.addresses

    @property
    def options(self) -> Sequence[str]:
        """How `serve` reaches them."""
        return ("--ssh", " ".join(self.hosts.ssh), "--python", sys.executable)

    def processes(self) -> set[int]:
        """Return what runs on the hosts besides their ssh servers."""
        return {pid for index in range(NUM_HOSTS) for pid in self.hosts.processes(index)}

    def surplus(self) -> list[int]:
        """Return those beside an agent, a rank and a spare one on each host, the oldest ones."""
        found: list[int] = []
        for index in range(NUM_HOSTS):
            lines = {pid: command_line(pid) for pid in self.hosts.processes(index)}
            found += beside(1, (p for p, line in lines.items() if _is_agent(line)))
            found += beside(2, (p for p, line in lines.items() if RANK in line))
        return found

    def listeners(self) -> int:
        """Return how many sockets listen at other addresses than their host's own."""
        found = 0
        for index, server in enumerate(self.hosts.servers):
            own = _hexadecimal(self.hosts.addresses[index])
            found += sum(at.partition(":")[0] != own for at, _ in tcp(server.pid, listens=True))
        return found

    def left_listening(self) -> int:
        """Return how many sockets listen on the hosts beside those of their ssh servers."""
        servers = self.hosts.servers
        return sum(
            not at.endswith(_SERVER_PORT) for s in servers for at, _ in tcp(s.pid, listens=True)
        )

    def connections(self) -> int:
        """Return how many TCP connections there are on the hosts."""
        return sum(1 for s in self.hosts.servers for _ in tcp(s.pid, listens=False))

    def _ranks(self) -> list[int]:
        return _busy(pid for index in range(NUM_HOSTS) for pid in self.hosts.ranks(index))

    def _part(self, dice: random.Random) -> str:
        """Cut off a host from all others, or two of them from each other, for a while."""
        length_s = dice.uniform(3.5, 6.5)
        if dice.random() < 0.3:
            self._join(0, 1, PARTED)
            time.sleep(length_s)
            self._join(0, 1)
            return f"ada and bob parted for {length_s:.1f} s"
        index = dice.randrange(NUM_HOSTS)
        self._join_all(index, PARTED)
        time.sleep(length_s)
        self._join_all(index)
        return f"host {index} cut off for {length_s:.1f} s"

    def _harm_agent(self, dice: random.Random) -> str:
        agents = [pid for pid in sorted(self.processes()) if _is_agent(command_line(pid))]
        return _signal(dice, agents, dice.choice([signal.SIGKILL] * 3 + [signal.SIGSTOP]))

    def _kill_host(self, dice: random.Random) -> str:
        """End all that runs on a host while it is cut off, and let it return."""
        index = dice.randrange(NUM_HOSTS)
        self._join_all(index, PARTED)
        server = self.hosts.servers[index]
        for pid in (*self.hosts.processes(index), server.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.wait()
        _close(server)
        begun_s = time.monotonic()
        server = self.hosts.servers[index] = start_server(self.hosts, index)
        _until_it_listens(server)
        time.sleep(max(0.0, begun_s + dice.uniform(1.0, 4.0) - time.monotonic()))
        self._join_all(index)
        return f"host {index} killed, and back after {time.monotonic() - begun_s:.1f} s"

    def _join_all(self, index: int, loss: float = 0.0) -> None:
        """Set what is between a host and all others, and the desk."""
        self.sites.join(DESK, self.addresses[index], DELAY_S, loss=loss)
        for other in {0, 1, 2} - {index}:
            self._join(index, other, loss)

    def _join(self, first: int, second: int, loss: float = 0.0) -> None:
        self.sites.join(self.addresses[first], self.addresses[second], DELAY_S, loss=loss)


def _until_it_listens(server: subprocess.Popen[bytes]) -> None:
    assert server.stdout is not None
    assert server.stdout.readline() == b"listening\n"


def _close(server: subprocess.Popen[bytes]) -> None:
    assert server.stdout is not None
    server.stdout.close()


@contextmanager
def three_hosts(folder: Path) -> Iterator[ThreeHosts]:
    """Give three hosts, with this process at the desk.

    Raises
    ------
    pytest.skip.Exception
        This machine cannot have them.
    """
    with ssh_hosts(NUM_HOSTS, folder, sites) as hosts:
        assert isinstance(hosts.network, Sites)
        space = hosts.network.at_desk()[3]
        _enter(Path("/run/netns") / space)
        yield ThreeHosts(hosts, hosts.network)


def free_port() -> int:
    """Return a port of loopback at which nobody listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def _enter(space: Path) -> None:
    """Let this process, and all that it starts, use another network."""
    with space.open() as opened:
        if ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), _NET):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")


def _signal(dice: random.Random, pids: Sequence[int], number: signal.Signals) -> str:
    """Send a signal to one of some processes."""
    if not pids:
        return ""
    pid = dice.choice(pids)
    words = [word for word in command_line(pid) if word]
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    return f"{number.name} to {pid}, {words[-1] if words else 'which was gone'}"


def beside(most: int, pids: Iterable[int]) -> list[int]:
    """Return the oldest processes, which should be gone, of those beside so many."""
    found = sorted(pids)
    return found[: max(0, len(found) - most)]


def _is_agent(line: Sequence[str]) -> bool:
    return AGENT in line and "/bin/sh" not in line


def _busy(pids: Iterator[int]) -> list[int]:
    """Return the ranks that have a place; spare ones hold no sockets."""
    return sorted(pid for pid in pids if sockets(pid))


def _hexadecimal(address: str) -> str:
    """Return an IPv4 address as the kernel writes it."""
    return socket.inet_aton(address)[::-1].hex().upper()
