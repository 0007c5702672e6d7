"""The agents' processes: started here or over ssh, heard, and ended."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import IO, Final, Self

from pydantic import ValidationError

from hexplan.frozen_model import FrozenModel
from hexplan_runtime.probe.messages import Answer, Task

_QUIET: Final = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # as ranks of a launch have
_LINE_BYTES: Final = 2**20
_LAST_WORDS_BYTES: Final = 4096
_LEAVE_S, _POLL_S = 2.0, 0.1


@dataclass(frozen=True, slots=True)
class News:
    """What an agent has said, or that it has ended."""

    host: str
    answer: Answer | None


class Agents:
    """The agents of one probe; leaving them ends their processes."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._news: SimpleQueue[News] = SimpleQueue()
        self._agents: dict[str, _AgentProcess] = {}
        self._lost: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for agent in self._agents.values():
            agent.release()
        for agent in self._agents.values():
            agent.leave()
            agent.forget()

    def start(self, host: str, argv: tuple[str, ...], task: Task) -> None:
        """Start the agent of a host."""
        try:
            self._agents[host] = _AgentProcess(host, argv, self._news)
        except OSError as error:
            self._lost[host] = f"cannot start {argv[0]}: {error.strerror}"
        else:
            self.tell(host, task)

    def tell(self, host: str, noun: FrozenModel) -> None:
        """Send an agent something."""
        if host not in self._lost:
            self._agents[host].tell(noun.model_dump_json())

    def answers(self, hosts: Collection[str], limit_s: float) -> dict[str, Answer]:
        """Wait for one answer of each of these agents; one that ended says so in its place.

        Those that do not answer in time are ended. A wish to stop ends the waiting at once, with
        the answers that are there.
        """
        found: dict[str, Answer] = {}
        deadline_s = time.monotonic() + limit_s
        while not self._stop.is_set():
            for host in self._lost.keys() & set(hosts) - found.keys():
                found[host] = Answer(problem=self._lost[host])
            silent = [host for host in hosts if host not in found]
            if not silent:
                break
            left_s = deadline_s - time.monotonic()
            if left_s > 0:
                self._hear(found, min(left_s, _POLL_S))
            else:
                for host in silent:
                    self._give_up(host, f"its agent did not answer within {limit_s:g} s")
        return found

    def lost(self, host: str) -> str | None:
        """Return why the agent of a host is of no use, or None if it is."""
        return self._lost.get(host)

    def lose(self, host: str, why: str) -> None:
        """Give up on the agent of a host that has said why it is of no use."""
        self._lost[host] = why

    def _hear(self, found: dict[str, Answer], limit_s: float) -> None:
        """Take the next news, if there are any soon."""
        with suppress(Empty):
            news = self._news.get(timeout=limit_s)
            if news.answer is None:
                self._give_up(news.host, "its agent ended")
            else:
                self._agents[news.host].heed()
                found[news.host] = news.answer

    def _give_up(self, host: str, why: str) -> None:
        if host not in self._lost:
            agent = self._agents[host]
            agent.leave()
            words = agent.last_words()
            self._lost[host] = f"{why}: {words}" if words else why


class _AgentProcess:
    """One agent's process, or that of the program that reaches it; Ctrl-C is not for it."""

    def __init__(self, host: str, argv: tuple[str, ...], news: SimpleQueue[News]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._num_old_bytes = 0
        try:
            self._child = subprocess.Popen(  # noqa: S603
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
                env=os.environ | _QUIET,
            )
        except OSError:
            self._errors.close()
            raise
        Thread(target=self._listen, args=(host, news), daemon=True).start()

    def tell(self, line: str) -> None:
        """Send a line; a process that has ended shows by its end."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError, ValueError):
            self._child.stdin.write(line.encode() + b"\n")
            self._child.stdin.flush()

    def heed(self) -> None:
        """Take note that it has answered: what it wrote to stderr before is history."""
        self._num_old_bytes = os.fstat(self._errors.fileno()).st_size

    def last_words(self) -> str:
        """Return the last line of what it wrote to stderr since it last answered."""
        self._errors.seek(self._num_old_bytes)
        text = self._errors.read()[-_LAST_WORDS_BYTES:].decode(errors="replace").strip()
        return text.splitlines()[-1] if text else ""

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
        self._errors.close()

    def _listen(self, host: str, news: SimpleQueue[News]) -> None:
        """Tell its answers; a shell's greeting and the like are none."""
        assert self._child.stdout is not None
        with self._child.stdout as stdout:
            while line := stdout.readline(_LINE_BYTES):
                with suppress(ValidationError):
                    news.put(News(host, Answer.model_validate_json(line)))
        news.put(News(host, None))
