"""Long time slices: a thread that computes, and lets those that wait for messages run at once.

On a core that all threads of a process share, one that wakes up to pass a message on would stand
behind the step for up to a tick of the kernel, 4 ms. Linux from 6.12 on lets whoever has the
shorter slice go first, and takes no part of the core's time away from anybody by it.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from contextlib import suppress
from typing import Final

_SLICE_NS: Final = 10_000_000
"""Longer than the default, which is a few milliseconds; nobody loses by more."""
_CALLS: Final = {"x86_64": (315, 314), "aarch64": (275, 274)}
"""Numbers of `sched_getattr` and `sched_setattr`, for which glibc has functions from 2.41 on."""
_NORMAL: Final = 0
"""The policy SCHED_OTHER, the only one with slices."""


class _Attributes(ctypes.Structure):
    """The kernel's `struct sched_attr`, in its first version (sched_setattr(2))."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("slice_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def yield_to_messages() -> None:
    """Ask for a longer time slice for the calling thread, where the system knows such.

    Threads that it starts afterwards have the same. Nothing else changes, and nobody is told where
    it does not work.
    """
    numbers = _CALLS.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        return
    get_number, set_number = numbers
    call = ctypes.CDLL(None).syscall
    found = _Attributes()
    with suppress(OSError, AttributeError):
        is_known = call(get_number, 0, ctypes.byref(found), ctypes.sizeof(found), 0) == 0
        if is_known and found.policy == _NORMAL:
            found.slice_ns = _SLICE_NS
            call(set_number, 0, ctypes.byref(found), 0)
