"""One rank as a child process, owned by one thread from its start until it is reaped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import IO, Final

from pydantic import ValidationError

from hexplan_runtime.stage.messages import Report

_ARGV: Final = (sys.executable, "-P", "-m", "hexplan_runtime.stage.worker")
_KEPT_VARIABLES: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
)
_STDERR_LINES: Final = 40
_STDERR_LINE_BYTES: Final = 4096
_REPORT_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Spoke:
    """A rank has said something."""

    worker: WorkerProcess
    report: Report


@dataclass(frozen=True, slots=True)
class Ended:
    """A rank's process is over, and is reaped."""

    worker: WorkerProcess
    exit_code: int
    """Negative where a signal ended it."""


class WorkerProcess:
    """A rank's process.

    The thread that starts the process lives as long as the process does, because a rank asks Linux
    to kill it when the thread that started it ends.
    """

    def __init__(self, name: str, assignment: str, tell: Callable[[Spoke | Ended], None]) -> None:
        self.name = name
        self._assignment = assignment
        self._tell = tell
        self._child: subprocess.Popen[bytes] | None = None
        self._is_spawned = Event()
        self._is_fed = Event()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._owner = Thread(target=self._own, daemon=True, name=name)
        self._owner.start()

    @property
    def pid(self) -> int:
        """Process id."""
        self._is_spawned.wait()
        assert self._child is not None
        return self._child.pid

    @property
    def last_words(self) -> str:
        """The last lines of its stderr."""
        return "\n".join(self._stderr)

    def release(self) -> None:
        """Close its stdin, on which it ends by itself."""
        self._is_spawned.wait()
        if self._child is not None and self._child.stdin and self._is_fed.is_set():
            self._child.stdin.close()
        else:
            self.send_signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, and to no other."""
        self._is_spawned.wait()
        if self._child is not None and self._owner.is_alive():
            self._child.send_signal(number)

    def join(self, timeout_s: float) -> bool:
        """Wait until the process is reaped; say whether it is."""
        self._owner.join(timeout_s)
        return not self._owner.is_alive()

    def _own(self) -> None:
        """Start the process, feed it, listen until it is over, and reap it."""
        try:
            child = _spawn()
        except OSError as error:
            self._stderr.append(f"cannot start {sys.executable}: {error}")
            self._is_spawned.set()
            self._tell(Ended(self, os.EX_OSERR))
            return
        with child:
            self._child = child
            self._is_spawned.set()
            assert child.stdin and child.stdout and child.stderr
            listener = Thread(target=self._keep_stderr, args=(child.stderr,), daemon=True)
            listener.start()
            self._feed(child.stdin)
            self._relay(child.stdout)
            child.wait()
            listener.join()
        self._tell(Ended(self, child.returncode))

    def _feed(self, stdin: IO[bytes]) -> None:
        """Hand over the assignment; a process that has ended already shows by its end."""
        try:
            stdin.write(self._assignment.encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            return
        self._is_fed.set()

    def _relay(self, stdout: IO[bytes]) -> None:
        """Tell what the process says, until it says no more."""
        while line := stdout.readline(_REPORT_BYTES):
            try:
                report = Report.model_validate_json(line)
            except ValidationError:
                self._stderr.append(f"unexpected on stdout: {line!r}")
            else:
                self._tell(Spoke(self, report))

    def _keep_stderr(self, stderr: IO[bytes]) -> None:
        while line := stderr.readline(_STDERR_LINE_BYTES):
            self._stderr.append(line.decode(errors="replace").rstrip())


def _spawn() -> subprocess.Popen[bytes]:
    """Start a rank: fixed arguments, few variables, and no terminal, whose Ctrl-C is not for it."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    return subprocess.Popen(  # noqa: S603
        _ARGV,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=kept | quiet,
    )
