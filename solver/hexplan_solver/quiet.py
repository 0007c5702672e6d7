"""Making HiGHS objects without the banner that HiGHS 1.16 prints, which no option turns off."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import highspy

STDOUT = 1


def quiet_highs() -> highspy.Highs:
    """Return a HiGHS object that prints nothing."""
    with quiet_stdout():
        highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    return highs


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Let file descriptor 1 lead nowhere: HiGHS's constructor prints to it, not to `sys.stdout`.

    Other threads print nowhere, too, in the microseconds that this takes.
    """
    libc = ctypes.CDLL(None)
    try:
        kept = os.dup(STDOUT)
    except OSError:  # stdout is closed, so there is nothing to keep quiet
        yield
        return
    # What is buffered in C belongs to stdout, and what the constructor adds does not.
    libc.fflush(None)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)
    try:
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, STDOUT)
        os.close(kept)
