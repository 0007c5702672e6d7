"""What the kernel says of processes, their sockets, and the files that they leave."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_SHM: Final = Path("/dev/shm")  # noqa: S108
_LISTENS, _TIME_WAIT = "0A", "06"


def marked(mark: str) -> set[int]:
    """Return the processes that have `NAME=value` in their environment."""
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return {pid for pid in pids if mark.encode() in read(pid, "environ").split(b"\0")}


def command_line(pid: int) -> list[str]:
    """Return a process's arguments."""
    return read(pid, "cmdline").decode(errors="replace").split("\0")


def describe(pid: int) -> str:
    """Return what a process is, how old it is, who has started it, and what it does."""
    fields = read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()
    if not fields:
        return f"{pid}, which is gone"
    ticks = os.sysconf("SC_CLK_TCK")
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks
    used_s = (int(fields[11]) + int(fields[12])) / ticks
    return (
        f"{pid} {_words(pid)}, {age_s:.1f} s old, used {used_s:.1f} s, state {fields[0]},"
        f" {len(sockets(pid))} sockets, child of {fields[1]} {_words(int(fields[1]))}"
    )


def _words(pid: int) -> str:
    return " ".join(command_line(pid)).strip()[-120:]


def sockets(pid: int) -> set[str]:
    """Return the numbers of a process's sockets."""
    links = _links(pid)
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def _links(pid: int) -> list[str]:
    """Return what a process has open."""
    try:
        return [str(one.readlink()) for one in (_PROC / str(pid) / "fd").iterdir()]
    except OSError:
        return []


def tcp(pid: int, *, listens: bool) -> Iterator[tuple[str, str]]:
    """Yield address and socket of the listeners, or of all else, in a process's network."""
    for table in ("tcp", "tcp6"):
        for line in read(pid, f"net/{table}").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] != _TIME_WAIT and (fields[3] == _LISTENS) == listens:
                yield fields[1], fields[9]


def shared_memory() -> set[Path]:
    """Return what is in shared memory."""
    return set(_SHM.iterdir())


def unused(files: set[Path]) -> set[Path]:
    """Return those that no process has open or mapped: what is used belongs to somebody else."""
    if not files:
        return files
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    maps = b"".join(read(pid, "maps") for pid in pids)
    opened = {link for pid in pids for link in _links(pid)}
    return {one for one in files if str(one) not in opened and os.fsencode(one) not in maps}


def files_in(*folders: Path) -> list[Path]:
    """Return all files and sockets in folders, of which some may go meanwhile."""
    walks = (walk for folder in folders for walk in os.walk(folder))
    return [Path(folder) / name for folder, _, names in walks for name in names]


def read(pid: int, name: str) -> bytes:
    """Return what the kernel says of a process; nothing of one that is gone."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
