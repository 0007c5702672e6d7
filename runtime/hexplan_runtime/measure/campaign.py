"""The campaign: all points of a grid, one after another, each kept as soon as it is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from threading import Event
from typing import Protocol

from hexplan_runtime.measure.crew import Crew, Subject
from hexplan_runtime.measure.messages import RankOrder
from hexplan_runtime.measure.record import Record
from hexplan_runtime.measure.sample import Point, Sample

ENOUGH_SPREAD = 0.05
"""A point whose times spread less than this is not run again. Chosen by trial."""
_WARMUPS = 2
"""Untimed runs before a point, which fill caches and the allocator's pools. Chosen by trial."""
_ROUND = 5
"""Runs after which the spread is looked at. Chosen by trial."""


class SampleListener(Protocol):
    """Whoever follows a campaign."""

    def __call__(self, sample: Sample, done: int, total: int) -> None:
        """Hear of a new sample, and how many points are done."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What to measure, and who follows it."""

    subject: Subject
    points: Sequence[Point]
    keep: Callable[[Record], None]
    """Takes the record after each point, to survive whatever ends the process."""
    hear: SampleListener
    stop: Event
    """Ends the campaign after the point under way."""

    def run(self, record: Record) -> Record:
        """Measure the points that the record lacks, and return the record with them.

        Raises
        ------
        InputError
            The layer cannot be measured.
        LaunchError
            A process that measures failed.
        """
        missing = [point for point in self.points if record.at(point) is None]
        done = len(self.points) - len(missing)
        for tp, group in groupby(missing, key=lambda point: point.tp):
            if self.stop.is_set():
                break
            with Crew(self.subject, tp) as crew:
                for point in group:
                    if self.stop.is_set():
                        break
                    sample = _sample(crew, point, record.circumstances.repeats)
                    record, done = record.plus(sample), done + 1
                    self.keep(record)
                    self.hear(sample, done, len(self.points))
                record = self._run_unsteady_again(crew, tp, record, done)
        return record

    def _run_unsteady_again(self, crew: Crew, tp: int, record: Record, done: int) -> Record:
        """Measure points whose times spread once more: what disturbed them may have passed."""
        for sample in record.samples:
            if sample.point.tp != tp or sample.spread <= ENOUGH_SPREAD:
                continue
            if self.stop.is_set():
                break
            again = _sample(crew, sample.point, record.circumstances.repeats)
            if again.spread < sample.spread:
                record = record.plus(again)
                self.keep(record)
                self.hear(again, done, len(self.points))
        return record


def _sample(crew: Crew, point: Point, repeats: int) -> Sample:
    """Run a point in rounds until its times agree, or have been taken often enough."""
    sample: Sample | None = None
    warmups = _WARMUPS
    while sample is None or (len(sample.times_s) < repeats and sample.spread > ENOUGH_SPREAD):
        before = sample.times_s if sample else ()
        size = min(_ROUND, repeats - len(before))
        times_s = crew.run(RankOrder(point=point, warmups=warmups, repeats=size))
        sample, warmups = Sample(point=point, times_s=before + times_s), 0
    return sample
