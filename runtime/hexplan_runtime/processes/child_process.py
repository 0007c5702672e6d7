"""One child process as its parent sees it: lines of JSON in both directions, and how it ended."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO, Final, Generic, Protocol, TypeVar

from pydantic import ValidationError

from hexplan.errors import LaunchError
from hexplan.frozen_model import FrozenModel
from hexplan_runtime.processes.command import Command
from hexplan_runtime.processes.memory_kills import MEMORY_KILLS, NO_MEMORY

Message = TypeVar("Message", bound=FrozenModel)
"""What a child says, a line each."""

KILLED_HINT: Final = (
    "Linux kills a process when memory runs out, and `dmesg` then says so: if it did, leave more"
    " memory free, with a lower `limits.memory_fraction` in the spec"
)
MEMORY_HINT: Final = (
    "leave more memory free there, or plan with less: a smaller `memory` of the device, or a lower"
    " `limits.memory_fraction`"
)
STOPPED_HINT: Final = "somebody has sent it SIGSTOP; start the plan again"
_STDERR_LINES: Final = 40
_STDERR_LINE_BYTES: Final = 4096
_MESSAGE_BYTES: Final = 2**20
_DRAIN_S: Final = 2.0
"""How long to wait for the rest of a dead child's output; what it started may hold its pipes."""


class Child(Protocol):
    """A process that says lines, on this machine or on another host."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def last_words(self) -> str:
        """The last lines that it wrote, other than messages."""

    def tell(self, message: FrozenModel) -> None:
        """Send a message without waiting until it is read."""

    def forget_words(self) -> None:
        """Forget what it has written so far."""


@dataclass(frozen=True, slots=True)
class Said(Generic[Message]):
    """A child has said something."""

    child: Child
    message: Message


@dataclass(frozen=True, slots=True)
class Stopped:
    """A signal has stopped a child, which neither goes on nor ends by itself."""

    child: Child

    @property
    def failure(self) -> LaunchError:
        """The error that names the child."""
        return LaunchError(f"{self.child.name} is stopped", hint=STOPPED_HINT)


@dataclass(frozen=True, slots=True)
class Ended(Generic[Message]):
    """A child has ended, and is reaped."""

    child: Child
    exit_code: int
    """Negative if a signal ended it."""
    is_memory_kill: bool = False
    """Whether Linux killed it because memory ran out."""

    @property
    def lacked_memory(self) -> bool:
        """Whether it ended because there was not enough memory."""
        return self.is_memory_kill or self.exit_code == NO_MEMORY

    @property
    def failure(self) -> LaunchError:
        """The error that names the child, how it ended, and its last lines."""
        words = self.child.last_words
        is_killed = self.exit_code == -signal.SIGKILL
        hints = [KILLED_HINT] if is_killed and not self.is_memory_kill else []
        hints += [MEMORY_HINT] if self.lacked_memory else []
        hints += [f"its last lines were:\n{words}"] if words else []
        return LaunchError(f"{self.child.name} {self._how}", hint="\n".join(hints) or None)

    @property
    def _how(self) -> str:
        if self.is_memory_kill:
            return "was killed by the kernel for memory"
        if self.exit_code == NO_MEMORY:
            return "could not get the memory that it needs"
        if self.exit_code >= 0:
            return f"ended with exit code {self.exit_code}"
        return f"was ended by {signal.Signals(-self.exit_code).name}"


class ChildProcess(Generic[Message]):
    """A process that one thread owns, from its start until it is reaped.

    That thread lives as long as the process, because a child asks Linux to kill it when the thread
    that started it ends. Ctrl-C in the terminal does not reach the child.

    Parameters
    ----------
    name
        What errors call it.
    message_type
        What it says on stdout. Other lines count among its last words.
    hear
        Takes its messages and its end, in threads of this object.
    """

    def __init__(
        self,
        name: str,
        command: Command,
        message_type: type[Message],
        hear: Callable[[Said[Message] | Ended[Message]], None],
    ) -> None:
        self.name = name
        self._command = command
        self._message_type = message_type
        self._hear = hear
        self._child: subprocess.Popen[bytes] | None = None
        self._start_error: OSError | None = None
        self._is_spawned = Event()
        self._to_write: SimpleQueue[bytes | None] = SimpleQueue()
        self._last_lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self._owner = Thread(target=self._own, daemon=True, name=name)

    def start(self) -> None:
        """Start the process.

        Raises
        ------
        LaunchError
            The program cannot be run.
        """
        self._owner.start()
        self._is_spawned.wait()
        if self._start_error is not None:
            reason = self._start_error.strerror
            message = f"cannot start {self._command.argv[0]}: {reason}"
            raise LaunchError(message) from self._start_error

    @property
    def pid(self) -> int:
        """Process id of a child that has been started."""
        assert self._child is not None
        return self._child.pid

    @property
    def last_words(self) -> str:
        """The last lines that it wrote, other than messages."""
        return "\n".join(self._last_lines)

    def forget_words(self) -> None:
        """Forget what it has written so far, such as warnings from before it did its work."""
        self._last_lines.clear()

    def tell(self, message: FrozenModel) -> None:
        """Send a message without waiting until it is read; an ended child never reads it."""
        self._to_write.put(message.model_dump_json(by_alias=True).encode() + b"\n")

    def tell_line(self, line: str) -> None:
        """Pass on a message that somebody else has written as one line of JSON."""
        self._to_write.put(line.replace("\n", " ").encode() + b"\n")

    def release(self) -> None:
        """Close its stdin after what it has been told; a child ends by itself on that."""
        self._to_write.put(None)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, and to no other."""
        if self.is_alive:
            assert self._child is not None
            self._child.send_signal(number)

    def join(self, timeout_s: float) -> bool:
        """Wait until the process is reaped and all that it said is heard; say whether it is so."""
        if self.is_alive:
            self._owner.join(timeout_s)
        return not self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether it has been started and is not reaped yet."""
        if self._owner.ident is None:  # an interrupt came before its start
            return False
        self._is_spawned.wait()
        return self._child is not None and self._owner.is_alive()

    def _own(self) -> None:
        """Start the process, talk with it in threads, and reap it."""
        try:
            child = self._spawn()
        except OSError as error:
            self._start_error = error
            self._is_spawned.set()
            return
        self._child = child
        self._is_spawned.set()
        assert child.stdin and child.stdout and child.stderr
        talking = [
            Thread(target=self._write, args=(child.stdin,), daemon=True),
            Thread(target=self._listen, args=(child.stdout,), daemon=True),
            Thread(target=self._keep_words, args=(child.stderr,), daemon=True),
        ]
        for thread in talking:
            thread.start()
        kills = MEMORY_KILLS.watch(child.pid)
        child.wait()
        self.release()
        deadline_s = time.monotonic() + _DRAIN_S
        for thread in talking:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        is_killed = child.returncode == -signal.SIGKILL
        self._hear(Ended(self, child.returncode, is_killed and MEMORY_KILLS.explains(kills)))

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            self._command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=self._command.environment,
        )

    def _write(self, stdin: IO[bytes]) -> None:
        """Pass on what the child is told; if it has ended, its owner reports that."""
        with suppress(BrokenPipeError), stdin:
            for line in iter(self._to_write.get, None):
                stdin.write(line)
                stdin.flush()

    def _listen(self, stdout: IO[bytes]) -> None:
        """Pass on what the child says, until it says no more."""
        with stdout:
            while line := stdout.readline(_MESSAGE_BYTES):
                try:
                    message = self._message_type.model_validate_json(line)
                except ValidationError:  # a shell's greeting, or what a library prints
                    said = line[:_STDERR_LINE_BYTES]
                    self._last_lines.append(f"unexpected on stdout: {said!r}")
                else:
                    self._hear(Said(self, message))

    def _keep_words(self, stderr: IO[bytes]) -> None:
        with stderr:
            while line := stderr.readline(_STDERR_LINE_BYTES):
                self._last_lines.append(line.decode(errors="replace").rstrip())
