"""The campaign: all points of a grid, one after another, each kept as soon as it is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from threading import Event
from typing import Protocol

from hexplan_runtime.measure.crew import Crew, Subject
from hexplan_runtime.measure.messages import Order
from hexplan_runtime.measure.record import Record
from hexplan_runtime.measure.sample import Point, Sample

ENOUGH_SPREAD = 0.05
"""A point whose times spread less than this is not run again."""
_WARMUPS = 2
_ROUND = 5
"""Runs after which the spread is looked at."""


class Hear(Protocol):
    """Whoever follows a campaign."""

    def __call__(self, sample: Sample, done: int, total: int) -> None:
        """Hear of a new sample, and how many points are done."""


def run_campaign(
    subject: Subject,
    points: Sequence[Point],
    record: Record,
    keep: Callable[[Record], None],
    hear: Hear,
    stop: Event,
) -> Record:
    """Measure the points that the record lacks, and return the record with them.

    Parameters
    ----------
    keep
        Takes the record after each point, to survive whatever ends the process.
    stop
        Ends the campaign after the point under way.

    Raises
    ------
    InputError
        The layer cannot be measured.
    LaunchError
        A process that measures failed.
    """
    missing = [point for point in points if record.at(point) is None]
    done = len(points) - len(missing)
    for tp, group in groupby(missing, key=lambda point: point.tp):
        if stop.is_set():
            break
        with Crew(subject, tp) as crew:
            for point in group:
                if stop.is_set():
                    break
                sample = _sample(crew, point, record.circumstances.repeats)
                record, done = record.plus(sample), done + 1
                keep(record)
                hear(sample, done, len(points))
    return record


def _sample(crew: Crew, point: Point, repeats: int) -> Sample:
    """Run a point in rounds until its times agree, or have been taken often enough."""
    sample: Sample | None = None
    warmups = _WARMUPS
    while sample is None or (len(sample.times_s) < repeats and sample.spread > ENOUGH_SPREAD):
        before = sample.times_s if sample else ()
        size = min(_ROUND, repeats - len(before))
        times_s = crew.run(Order(point=point, warmups=warmups, repeats=size))
        sample, warmups = Sample(point=point, times_s=before + times_s), 0
    return sample
