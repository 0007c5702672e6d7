"""The crew: the processes of a measured group, and of others like it that work beside it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from hexplan.errors import InputError, LaunchError
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan_runtime.measure.devices import DeviceKind
from hexplan_runtime.measure.messages import RankAnswer, RankOrder, RankTask
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.processes import Ended, Here, Supervisor

_RANK: Final = "hexplan_runtime.measure.rank"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, and on what."""

    model: Model
    architecture: Architecture
    folder: Path
    """Where the weights are."""
    layers: Range
    """The layers that are measured in place of all."""
    kind: DeviceKind
    together: int = 1
    """Devices that work at once."""

    def groups(self, size: int) -> int:
        """Return how many groups of this size work at once."""
        return max(1, self.together // size)


class Crew:
    """Groups of ranks that are ready, and take orders; leaving it ends their processes."""

    def __init__(self, subject: Subject, size: int) -> None:
        self._folder = TemporaryDirectory(prefix="hexplan-")
        self._groups = subject.groups(size)
        self._supervisor = Supervisor(RankAnswer)
        try:
            for group in range(self._groups):
                self._start(subject, size, group)
            self._answers()
        except BaseException:
            self._stop()
            raise

    def _start(self, subject: Subject, size: int, group: int) -> None:
        """Start the processes of a group, which meet in a folder of their own."""
        nonce = secrets.token_hex(16)
        folder = Path(self._folder.name) / str(group)
        folder.mkdir()
        for rank in range(size):
            task = RankTask(
                model=subject.model,
                architecture=subject.architecture,
                model_folder=str(subject.folder),
                layers=subject.layers,
                kind=subject.kind,
                rank=rank,
                size=size,
                meeting_folder=str(folder),
                nonce=nonce,
            )
            name = f"rank {rank} of {size} that measures"
            self._supervisor.start(name, Here().command(_RANK), task)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def run(self, order: RankOrder) -> tuple[float, ...]:
        """Have every rank run a step, and return its times in seconds.

        Each is the mean of the groups' times. Groups begin together, and what an earlier end of one
        leaves to the others is part of the last run at most, as all do the same.

        Raises
        ------
        InputError
            The layers cannot be measured.
        LaunchError
            A rank failed.
        """
        self._supervisor.tell_all(order)
        times_s = [answer.times_s for answer in self._answers()]
        return tuple(sum(each) / len(each) for each in zip(*times_s, strict=True))

    def _stop(self) -> None:
        self._supervisor.stop()
        self._folder.cleanup()

    def _answers(self) -> list[RankAnswer]:
        """Wait for the answer of every group."""
        return [self._answer() for _ in range(self._groups)]

    def _answer(self) -> RankAnswer:
        """Wait for a leader's answer, or for what keeps it from answering.

        Only leaders answer orders, but any rank may refuse its task.
        """
        event = self._supervisor.next_event()
        assert event is not None
        if isinstance(event, Ended):
            raise self._failure(event)
        if event.message.refusal is not None:
            raise InputError(event.message.refusal, hint=event.message.hint)
        return event.message

    def _failure(self, ended: Ended[RankAnswer]) -> LaunchError:
        """Quote all ranks: the first to end may only have lost the one that failed."""
        self._supervisor.stop()
        words = "\n".join(filter(None, (child.last_words for child in self._supervisor.children)))
        hint = f"the last lines of all ranks were:\n{words}" if words else None
        return LaunchError(ended.failure.message, hint=hint)
