"""What the kernel says of processes, their sockets, and the files that they leave."""

from __future__ import annotations

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


def sockets(pid: int) -> set[str]:
    """Return the numbers of a process's sockets."""
    try:
        links = [str(one.readlink()) for one in (_PROC / str(pid) / "fd").iterdir()]
    except OSError:
        return set()
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


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


def files_in(*folders: Path) -> list[Path]:
    """Return all files and sockets in folders."""
    return [file for folder in folders for file in folder.rglob("*") if not file.is_dir()]


def read(pid: int, name: str) -> bytes:
    """Return what the kernel says of a process; nothing of one that is gone."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
