"""Which points are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hexplan.field_types import Range
from hexplan_runtime.measure.sample import OVERLAP, Point

LARGEST_BATCH: Final = 64
"""The most decodes of a measured step; the KV cache of more may not fit into memory."""
_SMALLEST_PROMPT = 1
"""The shortest prompt that is measured: it tells what a step of prompts and decodes shares."""
_PAST_MEAN = 2
"""Prompts are measured up to this many times the mean one: many are longer than the mean."""
_FULL_STEP_TOKENS = 512
"""Prompt tokens of a step that serves prompts of several requests together: the default chunk."""
_LANE_TOKENS = 256
"""Tokens of a lane of such a step, whose computing and sums are measured beside each other."""
_FETCHED_TOKENS = 2048
"""Tokens whose keys and values of a layer are fetched from host memory: several megabytes."""
_FULL_STEP, _QUICK_STEP = 2, 8
"""The ratio of neighbouring points, in a measurement and in a quick try; a measurement has one more
between each two, as kernels take rows by the block: seven take a third longer than six on Zen 4."""
_MEASURED_LAYERS = 5
"""Layers that are run together, of which all but the first are timed: one alone would find its
weights in a cache, and what a step works out once would count in each. Chosen by trial."""


def middle_layers(num_layers: int) -> Range:
    """Return the layers that are measured in place of all: a few in the middle."""
    count = min(num_layers, _MEASURED_LAYERS)
    first = (num_layers - count) // 2
    return first, first + count


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of the requests that are planned for."""

    prompt: int
    output: int

    @property
    def context(self) -> int:
        """Positions that a decoded token sees, on average."""
        return self.prompt + max(1, self.output // 2)


def grid(
    lengths: Lengths, longest: int, degrees: Sequence[int], *, is_quick: bool
) -> tuple[Point, ...]:
    """Return the points to measure, in the order in which they are measured.

    Prompts go from 1 token to twice the mean prompt, or 512 if that is more, and batches from 1 to
    the largest that is measured, by the powers of two and the middles between them. Contexts are
    the mean one, and for powers of two half of it and twice. The means are points themselves, so
    that what is derived for them is not interpolated.

    Parameters
    ----------
    longest
        The longest context of the model, in tokens.
    is_quick
        Whether to take every third doubling and the mean context only, for a try.
    """
    step = _QUICK_STEP if is_quick else _FULL_STEP
    most = min(longest, max(_PAST_MEAN * lengths.prompt, _FULL_STEP_TOKENS))
    prompts = sorted({*_powers(min(_SMALLEST_PROMPT, most), most, step), lengths.prompt, most})
    powers = sorted({*_powers(1, LARGEST_BATCH, step), LARGEST_BATCH})
    batches = powers if is_quick else _with_middles(powers)
    prompts = prompts if is_quick else _with_middles(prompts)
    mean = lengths.context
    others = () if is_quick else sorted({max(1, mean // 2), min(longest, 2 * mean)} - {mean})
    points = []
    for tp in degrees:
        points += [Point(tp=tp, phase="prefill", tokens=n, context=n) for n in prompts]
        points += [Point(tp=tp, phase="decode", tokens=n, context=mean) for n in batches]
        points += [
            Point(tp=tp, phase="decode", tokens=n, context=c) for c in others for n in powers
        ]
        points += [Point(tp=tp, phase="head", tokens=n, context=1) for n in batches]
        points += [Point(tp=tp, phase="step", tokens=n, context=mean) for n in powers]
        points.append(Point(tp=tp, phase="fetch", tokens=_FETCHED_TOKENS, context=1))
        if tp > 1:
            lane = min(longest, _LANE_TOKENS)
            points += [Point(tp=tp, phase=phase, tokens=lane, context=lane) for phase in OVERLAP]
    return tuple(points)


def _with_middles(counts: Sequence[int]) -> list[int]:
    """Return rising numbers with those in the middle between two, rounded down."""
    return sorted({*counts, *((low + high) // 2 for low, high in pairwise(counts))})


def _powers(first: int, last: int, step: int) -> list[int]:
    """Return `first` and its multiples by powers of `step`, up to `last`."""
    found = [first]
    while found[-1] * step <= last:
        found.append(found[-1] * step)
    return found
