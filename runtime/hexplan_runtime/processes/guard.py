"""A guard: it removes files of this process once that has ended, however it ended.

SIGKILL leaves no time to tidy up. So a shell waits at the other end of a pipe, whose end says that
nobody is left to use them.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_SCRIPT: Final = 'while IFS= read -r path; do set -- "$@" "$path"; done; rm -rf -- "$@"'
_WAIT_S: Final = 5.0


class Guard:
    """A process of its own that outlives this one by the time that it takes to remove files.

    It gets no variables of this process, and its folder is the root, so that it keeps nothing busy.
    """

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # a machine without a shell, where the next launch tidies up
            self._shell = subprocess.Popen(  # noqa: S603
                ("/bin/sh", "-c", _SCRIPT, "hexplan-guard"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={"PATH": os.defpath},
            )

    def add(self, path: Path) -> None:
        """Remove a file or folder, too; one whose name has a line break is left."""
        line = os.fsencode(path.absolute()) + b"\n"
        if self._shell is None or line.count(b"\n") > 1:
            return
        assert self._shell.stdin is not None
        with suppress(BrokenPipeError):  # somebody has killed the shell
            self._shell.stdin.write(line)
            self._shell.stdin.flush()

    def end(self) -> None:
        """Remove all of it now, and wait until that is done."""
        if self._shell is None:
            return
        assert self._shell.stdin is not None
        with suppress(BrokenPipeError):
            self._shell.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._shell.wait(_WAIT_S)
