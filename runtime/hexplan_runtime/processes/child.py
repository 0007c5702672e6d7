"""What our child processes share: clean reports on stdout, and an end with the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TextIO

from hexplan.frozen_model import FrozenModel

_PR_SET_PDEATHSIG = 1


def claim_stdout() -> TextIO:
    """Keep stdout for reports, and send what libraries print there to stderr."""
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return reports


def say(reports: TextIO, noun: FrozenModel) -> None:
    """Write a noun as one line of JSON."""
    print(noun.model_dump_json(), file=reports, flush=True)


def die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends.

    The end of stdin says the same everywhere, but not to a process that is stopped, or whose pipe
    another process still holds.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave(code: int) -> None:
    """End at once, without the destructors of groups that may still wait."""
    sys.stderr.flush()
    os._exit(code)
