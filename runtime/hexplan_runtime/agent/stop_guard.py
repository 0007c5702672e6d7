"""A guard that ends this process once a signal has stopped it for too long.

What is stopped can do nothing, not even notice that its coordinator is gone. So another process
looks at it. This module imports nothing heavy, so that the guard is there at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import hexplan_runtime

STOPPED_S: Final = 8.0
"""After so long, a stopped agent is ended, and the kernel ends its ranks with it."""
_PROGRAM: Final = Path(hexplan_runtime.__file__).parent / "processes" / "stopped.py"
_LIBRARIES: Final = "LD_LIBRARY_PATH"


def begin_stop_guard(limit_s: float = STOPPED_S) -> None:
    """Start a guard of this process; it ends when this one does, whose end of a pipe is then shut.

    Raises
    ------
    OSError
        No more processes can be started here.
    """
    its_end, _ = os.pipe()
    subprocess.Popen(  # noqa: S603
        (sys.executable, "-I", "-S", str(_PROGRAM), str(os.getpid()), str(limit_s)),
        stdin=its_end,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={_LIBRARIES: os.environ[_LIBRARIES]} if _LIBRARIES in os.environ else {},
    )
    os.close(its_end)
