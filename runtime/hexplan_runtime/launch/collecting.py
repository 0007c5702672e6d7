"""Collect the observations of all processes of a launch, and write them as they come."""

from __future__ import annotations

import datetime
import time
from collections import deque
from collections.abc import Sequence
from threading import Lock

import torch

from hexplan.errors import InputError
from hexplan.measured.observation_file import ObservationFile
from hexplan.measured.observations import LaunchSeen, Line, StepSeen, TransferSeen
from hexplan_runtime.hardware import free_cores, processor_name
from hexplan_runtime.stage.messages import EndSeen
from hexplan_runtime.stage.observing import Edge, Seen


class Collector:
    """Takes observations from any thread, joins each send with its receipt, and writes lines.

    Messages of one edge arrive in the order in which they were sent, and each process reports its
    own in that order. So the first send that has no receipt yet belongs to the first such receipt.
    """

    def __init__(self, file: ObservationFile) -> None:
        self._file = file
        self._lock = Lock()
        self._begun_s = 0.0
        self._waiting: dict[tuple[Edge, bool], deque[EndSeen]] = {}
        self._failure: InputError | None = None

    def begin(self) -> None:
        """Write that a launch is ready; its times count from now on."""
        self._begun_s = time.perf_counter()
        begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        hardware, cores = processor_name(), free_cores()
        seen = LaunchSeen(begun=begun, hardware=hardware, cores=cores, torch=torch.__version__)
        self._write([seen])

    def take(self, seen: Sequence[Seen]) -> None:
        """Write the steps, and the messages of which both ends are known."""
        with self._lock:
            lines = [line for one in seen if (line := self._line(one)) is not None]
            self._write(lines)

    def finish(self) -> None:
        """Raise the error that kept lines from being written, if there was one."""
        if self._failure is not None:
            raise self._failure

    def _line(self, seen: Seen) -> Line | None:
        if isinstance(seen, StepSeen):
            return seen.model_copy(update={"at_s": self._since(seen.at_s)})
        edge = seen.source, seen.target
        others = self._waiting.setdefault((edge, not seen.is_sent), deque())
        if not others:
            self._waiting.setdefault((edge, seen.is_sent), deque()).append(seen)
            return None
        ends = (seen, others.popleft())
        sent, received = ends if seen.is_sent else ends[::-1]
        return TransferSeen(
            source=edge[0],
            target=edge[1],
            at_s=self._since(sent.at_s),
            seconds=max(0.0, round(received.at_s - sent.at_s, 7)),
            tokens=sent.tokens,
            bytes=sent.bytes,
        )

    def _since(self, at_s: float) -> float:
        return round(at_s - self._begun_s, 7)

    def _write(self, lines: Sequence[Line]) -> None:
        """Write lines; a full disk must not end the thread that listens to a rank."""
        if self._failure is None:
            try:
                self._file.add(lines)
            except InputError as error:
                self._failure = error
