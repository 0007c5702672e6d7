"""Has the main thread of a process stand still: `python hanging.py PID`, until that process ends.

Its other threads go on, as in a call that never returns, and the kernel does not count the process
as stopped. This is a process of its own, since whoever traces a child of its own hears of the stop
as if the child had ended.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_SEIZE, _INTERRUPT = 0x4206, 0x4207
_WALL = 0x40000000


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    """Have the main thread of a process stand still until it ends."""
    words = (sys.executable, __file__, str(pid))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        if tracer.stdout.readline() != "hangs\n":
            pytest.skip("this kernel or container lets nobody trace a process")
        yield
        tracer.kill()


def main() -> None:
    """Stop the thread, and wait for the end of its process."""
    pid = int(sys.argv[1])
    ptrace = ctypes.CDLL(None).ptrace
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    ptrace.restype = ctypes.c_long
    if ptrace(_SEIZE, pid, None, None) or ptrace(_INTERRUPT, pid, None, None):
        return
    print("hangs", flush=True)
    status = os.waitpid(pid, _WALL)[1]
    while os.WIFSTOPPED(status):
        status = os.waitpid(pid, _WALL)[1]


if __name__ == "__main__":
    main()
