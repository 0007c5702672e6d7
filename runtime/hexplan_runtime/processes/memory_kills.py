"""Memory kills: what Linux counts when it kills a process because memory runs out.

A control group counts its own, by version 2 (`memory.events`) and by version 1
(`memory.oom_control`); where its files cannot be read, the count of the whole machine stands in.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_MACHINE: Final = Path("/proc/vmstat")
_KEY: Final = "oom_kill"

NO_MEMORY: Final = 78
"""Exit code of a process that could not get the memory that it asked for."""


def counter_of(groups: str) -> Path:
    """Return the file that counts the kills of a process, by the text of its /proc/PID/cgroup."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if "memory" in controllers.split(","):
            found = _GROUPS / "memory" / inside / "memory.oom_control"
        elif not controllers:
            found = _GROUPS / inside / "memory.events"
        else:
            continue
        if _count(found) is not None:
            return found
    return _MACHINE


def _count(file: Path) -> int | None:
    """Return what a file counts; None if it counts no kills."""
    try:
        words = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    return next((int(pair[1]) for pair in words if pair[:1] == [_KEY]), None)


class MemoryKills:
    """Says of processes that were killed whether it was for memory; each kill explains one end."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[Path, int] = {}
        """Kills that no end is to be explained with."""

    def watch(self, pid: int) -> Path:
        """Begin with a process that has just started, and return where its kills are counted."""
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        except OSError:
            groups = ""
        counter = counter_of(groups)
        with self._lock:
            self._known.setdefault(counter, _count(counter) or 0)
        return counter

    def explains(self, counter: Path) -> bool:
        """Say whether there was a kill that has explained no end yet."""
        with self._lock:
            known, now = self._known[counter], _count(counter) or 0
            self._known[counter] = min(known + 1, now)
            return now > known


MEMORY_KILLS: Final = MemoryKills()
"""Those of this process's children, of whom several are in one group."""
