"""A folder of this launch's own, for sockets and stores; it goes even if the process is killed.

Where its guard was killed with it, the next launch removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

from hexplan_runtime.processes.guard import Guard

_PREFIX: Final = "hexplan-"
"""Short, as the paths of socket files may have 100 bytes."""
_LOCK: Final = "lock"


class OwnFolder:
    """A folder that only this user may enter, and that is locked as long as this process lives."""

    def __init__(self) -> None:
        _sweep()
        # To start a guard takes long enough to be killed meanwhile, so it comes before the folder.
        self._guard = Guard()
        self.path = Path(mkdtemp(prefix=_PREFIX))
        self._guard.add(self.path)
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with all that is in it; it is safe to call this twice."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            self._guard.end()
            os.close(self._lock)
            self._lock = -1


def _sweep() -> None:
    """Remove the folders of this user whose processes were killed: nobody holds their locks."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
