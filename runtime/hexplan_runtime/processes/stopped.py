"""What Linux says of processes that a signal has stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Final

LOOK_S: Final = 1.0
"""How often whoever watches a process looks at it."""
_STOPPED: Final = "T"


def is_stopped(pid: int) -> bool:
    """Say whether a signal has stopped a process of this machine."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == _STOPPED
