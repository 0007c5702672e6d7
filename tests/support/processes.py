"""What the kernel says about processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PATIENCE_S = 30.0


def wait_until(is_done: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Wait until something holds, for a long while; say whether it does."""
    deadline = time.monotonic() + patience_s
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def are_gone(pids: Collection[int]) -> bool:
    """Wait until none of these processes is left, not even unreaped."""
    return wait_until(lambda: not any((PROC / str(pid)).exists() for pid in pids))


def processes_with(variable: str) -> set[int]:
    """Return the processes whose environment has this `NAME=value`."""
    return {pid for pid in _pids() if variable in environment(pid)}


def environment(pid: int) -> set[str]:
    """Return a process's environment as `NAME=value`; a process that is gone has none."""
    return set(_read(pid, "environ"))


def command_line(pid: int) -> list[str]:
    """Return a process's arguments."""
    return _read(pid, "cmdline")


def is_stopped(pid: int) -> bool:
    """Say whether a signal has stopped a process, which then waits for another one to go on."""
    stat = (PROC / str(pid) / "stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def listening_addresses(pid: int) -> set[str]:
    """Return the local addresses, in hexadecimal, on which a process listens."""
    return {place.partition(":")[0] for place in listening_places(pid)}


def listening_places(pid: int) -> set[str]:
    """Return the local addresses and ports, in hexadecimal, on which a process listens."""
    inodes = set()
    for descriptor in (PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    rows = [line.split() for table in ("tcp", "tcp6") for line in _table(pid, table)]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in inodes}


def _table(pid: int, name: str) -> list[str]:
    path = PROC / str(pid) / "net" / name
    return path.read_text().splitlines()[1:] if path.exists() else []


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> list[str]:
    try:
        data = (PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return data.decode(errors="replace").rstrip("\0").split("\0")
