"""The crew: the processes of one measured group, as many as it has devices."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from pydantic import ValidationError

from hexplan.errors import InputError, LaunchError
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan_runtime.measure.clock import DeviceKind
from hexplan_runtime.measure.messages import Answer, Order, Task
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.net.gloo import host_store

_ARGV: Final = (sys.executable, "-P", "-m", "hexplan_runtime.measure.rank")
_QUIET: Final = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # as ranks of a launch have
_LEAVE_S = 2.0
_LAST_WORDS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, and on what."""

    model: Model
    architecture: Architecture
    folder: Path
    """Where the weights are."""
    layers: Range
    """The layers that stand for all."""
    kind: DeviceKind


class Crew:
    """A group of ranks that are ready, and take orders; leaving it ends their processes."""

    def __init__(self, subject: Subject, size: int) -> None:
        self._store, port = host_store()
        nonce = secrets.token_hex(16)
        tasks = [
            Task(
                model=subject.model,
                architecture=subject.architecture,
                model_folder=str(subject.folder),
                layers=subject.layers,
                kind=subject.kind,
                rank=rank,
                size=size,
                store_port=port,
                nonce=nonce,
            )
            for rank in range(size)
        ]
        self._ranks: list[_RankProcess] = []
        try:
            for task in tasks:
                self._ranks.append(_RankProcess(task))
            self._answer()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def run(self, order: Order) -> tuple[float, ...]:
        """Have every rank run a step, and return the leader's times in seconds.

        Raises
        ------
        InputError
            The layers cannot be measured.
        LaunchError
            A rank failed.
        """
        for rank in self._ranks:
            rank.tell(order.model_dump_json())
        return self._answer().times_s

    def _answer(self) -> Answer:
        answer = self._ranks[0].answer()
        if answer is None:
            for rank in self._ranks:
                rank.leave()
            words = "\n".join(filter(None, (rank.last_words() for rank in self._ranks)))
            message = "a process that measures ended before it answered"
            raise LaunchError(message, hint=f"its last lines were:\n{words}" if words else None)
        if answer.refusal is not None:
            raise InputError(answer.refusal, hint=answer.hint)
        return answer

    def _close(self) -> None:
        for rank in self._ranks:
            rank.release()
        for rank in self._ranks:
            rank.leave()
            rank.forget()


class _RankProcess:
    """One rank's process; Ctrl-C in a terminal is not for it."""

    def __init__(self, task: Task) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(  # noqa: S603
            _ARGV,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | _QUIET,
        )
        self.tell(task.model_dump_json())

    def tell(self, line: str) -> None:
        """Send a line; a process that has ended shows by its silence."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(line.encode() + b"\n")
            self._child.stdin.flush()

    def answer(self) -> Answer | None:
        """Wait for an answer; nothing if the process has ended, or says something else."""
        assert self._child.stdout is not None
        try:
            return Answer.model_validate_json(self._child.stdout.readline())
        except ValidationError:
            return None

    def last_words(self) -> str:
        """Return the end of what it wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read()[-_LAST_WORDS_BYTES:].decode(errors="replace").strip()

    def release(self) -> None:
        """Close its stdin, on which it ends by itself."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()

    def leave(self) -> None:
        """Wait until it has ended, by force if it does not soon, and reap it."""
        self.release()
        try:
            self._child.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def forget(self) -> None:
        """Close what its words came through."""
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._errors.close()
