"""Kill parts of a served plan at random moments under many streams, and count what comes of it.

    python benchmarks/chaos.py [--kills 500] [--streams 64] [--seed 0] [--minutes 60]

Each stream must end with exactly the tokens of an undisturbed run, or with a clear error. Prints a
row for each kind of kill, and exits with 1 if a token was wrong or something was left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

from chaos_model import make_chaos_plan, make_model
from chaos_streams import Clients, Pieces, Tally, undisturbed
from serve_process import ServerProcess, serving

from hexplan.plan import Plan

RANK: Final = "hexplan_runtime.stage.worker"
_OPTIONS: Final = (
    "--restarts",
    "100000",
    "--spares",
    "2",
    "--no-access-log",
    "--served-name",
    "chaos",
)
_NUM_ASKS: Final = 16
_IN_A_ROW: Final = 5
"""Kills of one kind before those of the next."""
_GONE_S: Final = 15.0
_PATIENCE_S: Final = 240.0
_SHM: Final = Path("/dev/shm")  # noqa: S108


@dataclass(slots=True)
class Row:
    """What came of one kind of kill."""

    kills: int = 0
    tally: Tally = field(default_factory=Tally)
    recovered_s: list[float] = field(default_factory=list)
    orphans: int = 0
    listeners: int = 0
    leaked: int = 0

    def cells(self, kind: str) -> list[str]:
        """Return the row of the table."""
        ended = self.tally.ended
        errors = ended["error"] + ended["refused"]
        times = self.recovered_s
        half, most = (_quantile(times, 50), _quantile(times, 99)) if times else (0.0, 0.0)
        return [
            kind,
            str(self.kills),
            str(sum(ended.values())),
            str(self.tally.came_again),
            str(ended["exact"]),
            str(errors),
            str(ended["cut"]),
            str(ended["wrong"]),
            f"{half:.1f} s" if times else "",
            f"{most:.1f} s" if times else "",
            str(self.orphans),
            str(self.listeners),
            str(self.leaked),
        ]


HEAD: Final = (
    "kind | kills | streams | came again | exact | clear errors | cut off | wrong tokens | p50"
    " | p99 | orphans | stray listeners | leaked"
)


@dataclass(slots=True)
class Chaos:
    """A server under streams, and what is done to it."""

    server: ServerProcess
    folder: Path
    rng: random.Random

    def ranks(self) -> list[int]:
        """Return the ranks that have a place; spare ones hold nothing."""
        marked = [pid for pid in _marked(self.folder) if RANK in _command_line(pid)]
        return [pid for pid in marked if _has_sockets(pid)]

    def harm(self, number: signal.Signals) -> float | None:
        """Send a signal to some rank, and return how long it took until all routes were back."""
        before = self._generations()
        victim = self.rng.choice(self.ranks())
        os.kill(victim, number)
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < _PATIENCE_S:
            seen = self.server.get("/plan")
            is_noticed = sum(stage["generation"] for stage in seen["stages"]) > before
            if is_noticed and not any(route["is_masked"] for route in seen["routes"]):
                return time.monotonic() - begun_s
            time.sleep(0.1)
        return None

    def listeners(self) -> int:
        """Return how many TCP listeners the processes have beside the server's own."""
        ports = {port for pid in _marked(self.folder) for port in _listening(pid)}
        return len(ports - {int(self.server.url.rpartition(":")[2])})

    def _generations(self) -> int:
        return sum(stage["generation"] for stage in self.server.get("/plan")["stages"])


def main() -> None:
    """Harm, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--router-kills", type=int, default=2)
    asked = parser.parse_args()
    rows = {"SIGKILL a rank": Row(), "SIGSTOP a rank": Row(), "SIGKILL the router": Row()}
    rng = random.Random(asked.seed)  # noqa: S311
    until_s = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        plan = make_chaos_plan(make_model(folder / "model"))
        expected = _harm_ranks(plan, folder, rows, rng, asked, until_s)
        for _ in range(asked.router_kills):
            _kill_router(plan, folder, rows["SIGKILL the router"], expected, asked.streams)
    print(f"| {HEAD} |\n|{'---|' * len(HEAD.split('|'))}")
    for kind, row in rows.items():
        print(f"| {' | '.join(row.cells(kind))} |")
    for kind, row in rows.items():
        for example in row.tally.examples:
            print(f"{kind}: {example}", file=sys.stderr)
    bad = [r for r in rows.values() if r.tally.ended["wrong"] or r.orphans or r.listeners]
    sys.exit(1 if bad else 0)


def _harm_ranks(
    plan: Plan,
    folder: Path,
    rows: dict[str, Row],
    rng: random.Random,
    asked: argparse.Namespace,
    until_s: float,
) -> dict[int, Pieces]:
    """Harm ranks of one server, kind by kind in turns; return what requests give undisturbed."""
    kinds = {"SIGKILL a rank": signal.SIGKILL, "SIGSTOP a rank": signal.SIGSTOP}
    with _marked_by(folder), serving(plan, folder, *_OPTIONS) as server:
        chaos = Chaos(server, folder, rng)
        expected = asyncio.run(undisturbed(server.url, _NUM_ASKS))
        done = 0
        while done < asked.kills and time.monotonic() < until_s:
            kind = list(kinds)[done // _IN_A_ROW % len(kinds)]
            row = rows[kind]
            clients = Clients(server.url, asked.streams, expected, row.tally)
            clients.start()
            for _ in range(min(_IN_A_ROW, asked.kills - done)):
                time.sleep(rng.uniform(0.0, 2.0))
                took_s = chaos.harm(kinds[kind])
                done += 1
                row.kills += 1
                row.listeners += chaos.listeners()
                if took_s is None:
                    row.tally.examples.append("routes were not back in time")
                else:
                    row.recovered_s.append(took_s)
            clients.stop()
            print(f"{done} kills: {dict(row.tally.ended)}", file=sys.stderr, flush=True)
    for kind in kinds:
        rows[kind].orphans = _left_after(folder, _GONE_S)
        rows[kind].leaked = len(_files_left(folder))
    return expected


def _kill_router(
    plan: Plan, folder: Path, row: Row, expected: dict[int, Pieces], num_streams: int
) -> None:
    """Kill a server under streams, and count what is left of it after 15 s."""
    with _marked_by(folder), serving(plan, folder, *_OPTIONS) as server:
        clients = Clients(server.url, num_streams, expected, row.tally)
        clients.start()
        time.sleep(5.0)
        clients.over.set()
        os.kill(server.pid, signal.SIGKILL)
        begun_s = time.monotonic()
        row.kills += 1
        row.orphans += _left_after(folder, _GONE_S)
        row.recovered_s.append(time.monotonic() - begun_s)
        clients.stop()
    row.leaked += len(_files_left(folder))


@contextmanager
def _marked_by(folder: Path) -> Iterator[None]:
    """Let what is started carry a mark: its folder for files of a while."""
    before, shm = os.environ.get("TMPDIR"), set(_SHM.iterdir())
    place = folder / "tmp"
    place.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        for file in set(_SHM.iterdir()) - shm:
            print(f"left in shared memory: {file}", file=sys.stderr)


def _left_after(folder: Path, limit_s: float) -> int:
    """Return how many processes of a server are left, once none is or the time is over."""
    deadline_s = time.monotonic() + limit_s
    while (left := len(_marked(folder))) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return left


def _files_left(folder: Path) -> list[Path]:
    return [file for file in (folder / "tmp").rglob("*") if not file.is_dir()]


def _marked(folder: Path) -> list[int]:
    """Return the processes that carry the mark."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if mark in _read(pid, "environ").split(b"\0")]


def _command_line(pid: int) -> list[str]:
    return _read(pid, "cmdline").decode(errors="replace").split("\0")


def _has_sockets(pid: int) -> bool:
    return bool(_sockets(pid))


def _sockets(pid: int) -> set[str]:
    try:
        links = [str(one.readlink()) for one in (Path("/proc") / str(pid) / "fd").iterdir()]
    except OSError:
        return set()
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def _listening(pid: int) -> Iterator[int]:
    """Yield the TCP ports at which a process listens."""
    sockets = _sockets(pid)
    for table in ("tcp", "tcp6"):
        for line in _read(pid, f"net/{table}").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                yield int(fields[1].rpartition(":")[2], 16)


def _read(pid: int, name: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _quantile(values: list[float], percent: int) -> float:
    """Return a quantile; the largest value where there are few."""
    if len(values) < 2:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
