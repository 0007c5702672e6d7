"""What Linux says of processes that a signal has stopped.

`python stopped.py PID LIMIT` is a guard: it ends a process that was stopped for so many seconds.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from typing import IO, Final

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


def end_once_stopped(pid: int, limit_s: float, its_end: IO[bytes]) -> None:
    """End a process by force once it was stopped for so long; return when either is over.

    Parameters
    ----------
    its_end
        A pipe that the process holds open as long as it lives.
    """
    stopped_s = 0.0
    while stopped_s < limit_s:
        if select.select([its_end], [], [], LOOK_S)[0]:
            return
        stopped_s = stopped_s + LOOK_S if is_stopped(pid) else 0.0
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    end_once_stopped(int(sys.argv[1]), float(sys.argv[2]), sys.stdin.buffer)
