"""Show a measurement to people: its progress, each point's time, and how steady it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hexplan.render import words
from hexplan.render.console import open_console, say
from hexplan.render.sections import Part, Section, sections_text, table

if TYPE_CHECKING:
    from hexplan_runtime.measure import Point, Sample, SampleListener

WIDE_SPREAD = 0.2
"""A point is warned of if the middle half of its times spreads over more of the median."""
_SHOWN_WIDE = 3
_OVERLAPS = {"alone": "computing alone", "sums": "sums alone", "both": "computing beside sums"}


@contextmanager
def measure_progress(*, quiet: bool) -> Iterator[SampleListener]:
    """Yield a function that shows a measurement's progress: a bar on a terminal, else lines."""
    console = open_console(stderr=True)
    if quiet:
        yield lambda sample, done, total: None
    elif console.is_terminal and not console.is_dumb_terminal:
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("starting")
            yield lambda sample, done, total: progress.update(
                task, completed=done, total=total, description=_line(sample)
            )
    else:
        yield lambda sample, done, total: say(f"{done} of {total}: {_line(sample)}")


def samples_text(samples: Sequence[Sample]) -> str:
    """Return each point's time as `profile` prints it on stdout."""
    return sections_text([Section("", _tables(samples))])


def warn_of_spread(samples: Sequence[Sample]) -> None:
    """Say on stderr which points had unsteady times, if any had."""
    wide = sorted(
        (sample for sample in samples if sample.spread > WIDE_SPREAD),
        key=lambda sample: -sample.spread,
    )
    if wide:
        worst = "; ".join(_line(sample) for sample in wide[:_SHOWN_WIDE])
        say(
            f"warning: {len(wide)} of {words.count(len(samples), 'point')} spread by more than"
            f" {words.percent(WIDE_SPREAD)}, the widest: {worst}; was the machine busy?"
        )


def _tables(samples: Sequence[Sample]) -> Iterator[Part]:
    rows = [
        (
            sample.point.phase,
            str(sample.point.tp),
            f"{sample.point.tokens:,}",
            f"{sample.point.context:,}",
            _time(sample.median_s),
            words.percent(sample.spread),
            str(len(sample.times_s)),
        )
        for sample in samples
    ]
    headings = ("step", "TP", "tokens", "context", "median", "spread", "runs")
    yield table(headings, rows, 6)


def _line(sample: Sample) -> str:
    runs = words.count(len(sample.times_s), "run")
    spread = words.percent(sample.spread)
    return f"{_step(sample.point)}: {_time(sample.median_s)}, spread {spread} in {runs}"


def _step(point: Point) -> str:
    group = f" on {point.tp} devices" if point.tp > 1 else ""
    if point.phase == "prefill":
        return f"prefill of {words.count(point.tokens, 'token')}{group}"
    if point.phase == "head":
        return f"output head of {words.count(point.tokens, 'row')}{group}"
    if point.phase == "step":
        return f"step of {words.count(point.tokens, 'row')} besides its layers{group}"
    if point.phase == "fetch":
        return f"fetch of {words.count(point.tokens, 'token')} from host memory{group}"
    if point.phase in _OVERLAPS:
        return f"{_OVERLAPS[point.phase]} for {words.count(point.tokens, 'token')}{group}"
    return f"decode of {words.count(point.tokens, 'token')} at context {point.context:,}{group}"


def _time(seconds: float) -> str:
    """Return a short time in milliseconds."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else words.duration(seconds)
