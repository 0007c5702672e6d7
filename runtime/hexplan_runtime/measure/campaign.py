"""The campaign: all points of a grid, in several passes, each kept as soon as it is measured."""

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
"""Untimed runs before a round, which fill caches and the allocator's pools. Chosen by trial."""
_ROUND = 5
"""Runs of a point in one pass over the grid. Chosen by trial."""
_PASSES = 3
"""Passes in which every point is run; unsteady ones are in the others, too. What shares a machine's
caches and memory comes and goes in seconds, so that runs in a row agree and are all wrong."""


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
        for tp, group in groupby(self.points, key=lambda point: point.tp):
            points = tuple(group)
            if any(self.needs_more(record, point) for point in points):
                with Crew(self.subject, tp) as crew:
                    record = self._run_all(crew, points, record)
            if self.stop.is_set():
                break
        return record

    def _run_all(self, crew: Crew, points: Sequence[Point], record: Record) -> Record:
        """Go over the points until all have been run often enough, a round of each at a time."""
        while short := [point for point in points if self.needs_more(record, point)]:
            for point in short:
                if self.stop.is_set():
                    return record
                sample = self._with_round(crew, point, record)
                record = record.plus(sample)
                self.keep(record)
                done = sum(not self.needs_more(record, one) for one in self.points)
                self.hear(sample, done, len(self.points))
        return record

    def needs_more(self, record: Record, point: Point) -> bool:
        """Say whether a point is to be run again: its times differ, or are from few passes."""
        sample, most = record.at(point), record.circumstances.repeats
        if sample is None:
            return True
        count = len(sample.times_s)
        is_steady = count >= _PASSES * _ROUND and sample.spread <= ENOUGH_SPREAD
        return count < most and not is_steady

    def _with_round(self, crew: Crew, point: Point, record: Record) -> Sample:
        """Run a point once more, a round at most, and return all its times."""
        earlier = record.at(point)
        before = earlier.times_s if earlier else ()
        size = min(_ROUND, record.circumstances.repeats - len(before))
        times_s = crew.run(RankOrder(point=point, warmups=_WARMUPS, repeats=size))
        return Sample(point=point, times_s=before + times_s)
