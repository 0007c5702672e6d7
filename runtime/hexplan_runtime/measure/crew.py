"""The crew: the processes of a measured group, and of others like it that serve beside it."""

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
from hexplan_runtime.measure.grid import Lengths
from hexplan_runtime.measure.messages import RankAnswer, RankOrder, RankTask
from hexplan_runtime.measure.sample import Point
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.processes import ChildProcess, Ended, Here, Supervisor

_RANK: Final = "hexplan_runtime.measure.rank"
_COMPANY_BATCH: Final = 8
"""Requests that decode together beside what is measured: a middle size of those measured."""


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
    lengths: Lengths
    """Mean lengths of the requests that are planned for."""
    together: int = 1
    """Devices that work at once."""

    def groups(self, size: int) -> int:
        """Return how many groups of this size work at once."""
        return max(1, self.together // size)

    def company(self, size: int) -> tuple[Point, ...]:
        """Return the steps that groups of this size repeat beside the one that is measured.

        They serve: a mean prompt, then decodes of some requests for as many tokens as a mean output
        has. Prompts compute, and decodes read memory.
        """
        prompt, context = self.lengths.prompt, self.lengths.context
        decode = Point(tp=size, phase="decode", tokens=_COMPANY_BATCH, context=context)
        decodes = max(1, self.lengths.output // _COMPANY_BATCH)
        return (Point(tp=size, phase="prefill", tokens=prompt, context=prompt), *[decode] * decodes)


class Crew:
    """A group that takes orders, and others that keep it company; leaving it ends all of them."""

    def __init__(self, subject: Subject, size: int) -> None:
        self._folder = TemporaryDirectory(prefix="hexplan-")
        self._supervisor = Supervisor(RankAnswer)
        groups = subject.groups(size)
        try:
            self._measured = self._start(subject, size, 0)
            for group in range(1, groups):
                self._start(subject, size, group, subject.company(size))
            for _ in range(groups):
                self._answer()
        except BaseException:
            self._stop()
            raise

    def _start(
        self, subject: Subject, size: int, group: int, company: tuple[Point, ...] = ()
    ) -> list[ChildProcess[RankAnswer]]:
        """Start the processes of a group, which meet in a folder of their own."""
        nonce = secrets.token_hex(16)
        folder = Path(self._folder.name) / str(group)
        folder.mkdir()
        children = []
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
                company=company,
            )
            name = f"rank {rank} of {size} that {'keeps company' if company else 'measures'}"
            children.append(self._supervisor.start(name, Here().command(_RANK), task))
        return children

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
        """Have the ranks of the measured group run a step, and return its times in seconds.

        Raises
        ------
        InputError
            The layers cannot be measured.
        LaunchError
            A rank failed.
        """
        for child in self._measured:
            child.tell(order)
        return self._answer().times_s

    def _stop(self) -> None:
        self._supervisor.stop()
        self._folder.cleanup()

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
