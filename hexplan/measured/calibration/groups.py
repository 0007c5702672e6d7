"""One correction for the stages of one device type and degree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import numpy as np

from hexplan.cluster import Correction
from hexplan.constants import MAX_BATCH
from hexplan.measured.calibration.fit import Array, fit_factors, mean_error
from hexplan.measured.calibration.steps import TimedStep

MIN_STEPS: Final = 8
"""With fewer steps of a phase its factor stays as it is."""
SURE_STEPS: Final = 30
"""With fewer, its factor is not sure."""
LEAST_ERROR: Final = 0.05
"""No correction claims to be better than this."""
DOUBTED_ERROR: Final = 0.25
"""Nor better than this, where it is not sure."""
MOST_ERROR: Final = 0.99
_STEP_GAIN: Final = 0.1
"""A time for each step must lower the mean error by this share to be believed."""
_DIGITS: Final = 4
_BOUND: Final = 1e6
"""No correction has a factor beyond this, or below one over it."""
_PHASES: Final = ("prompts", "decodes")

Factors = tuple[float, float, float]
"""Of prefill, of decode, and the seconds of each step in each layer."""


def fit_group(
    runs: Sequence[Sequence[TimedStep]],
    kind: tuple[str, int],
    known: Correction | None,
    told: tuple[str, bool],
) -> Correction | None:
    """Return the correction that fits the steps of a kind of stage; None where they are too few.

    Parameters
    ----------
    runs
        The steps of one stage in one launch each.
    kind
        Device type and degree.
    known
        What the plan corrects already; a phase that was hardly seen keeps its factor.
    told
        What the correction rests on, and whether it is sure.
    """
    steps = [step for run in runs for step in run]
    seen = [_number(steps, is_prefill=is_prefill) >= MIN_STEPS for is_prefill in (True, False)]
    if not any(seen):
        return None
    found = _rounded(_fit(steps, factors_of(known), seen))
    error = max(_largest_error(runs, found), LEAST_ERROR if told[1] else DOUBTED_ERROR)
    return Correction(
        device=kind[0],
        tp=kind[1],
        prefill=_exact(found[0]),
        decode=_exact(found[1]),
        layer_step_s=_exact(found[2]),
        error=Decimal(f"{min(MOST_ERROR, error):.2f}"),
        source=told[0],
    )


def _largest_error(runs: Sequence[Sequence[TimedStep]], factors: Factors) -> float:
    """Return how far the corrected seconds of a phase of a run are off, at most.

    A plan's speeds are means over many steps, so it is their sums that count, not the single step.
    """
    off = [0.0]
    for run in runs:
        for is_prefill in (True, False):
            mine = [step for step in run if step.is_prefill == is_prefill]
            if len(mine) >= MIN_STEPS:
                observed_s = sum(step.observed_s for step in mine)
                off.append(abs(observed_s / sum(corrected_s(step, factors) for step in mine) - 1))
    return max(off)


def _number(steps: Sequence[TimedStep], *, is_prefill: bool) -> int:
    return sum(step.is_prefill == is_prefill for step in steps)


def factors_of(known: Correction | None) -> Factors:
    """Return the factors of a correction, or of none."""
    if known is None:
        return 1.0, 1.0, 0.0
    return float(known.prefill), float(known.decode), float(known.layer_step_s)


def corrected_s(step: TimedStep, factors: Factors) -> float:
    """Return what a correction makes of a step."""
    return sum(f * part for f, part in zip(factors, step.parts, strict=True))


def doubts(steps: Sequence[TimedStep], planned_batch: int) -> Iterator[str]:
    """Yield why the correction of these steps is not sure.

    Parameters
    ----------
    planned_batch
        Requests that the plan's speeds take to be decoded at once.
    """
    for name, is_prefill in zip(_PHASES, (True, False), strict=True):
        number = _number(steps, is_prefill=is_prefill)
        if number < MIN_STEPS:
            kept = "their factor stays as it was"
            yield f"{number or 'no'} steps of {name}, fewer than {MIN_STEPS}: {kept}"
        elif number < SURE_STEPS:
            yield f"{number} steps of {name}, fewer than {SURE_STEPS}"
    most = max((step.decode_tokens for step in steps), default=0)
    if most * 2 < planned_batch:
        batch = min(MAX_BATCH, planned_batch)
        yield f"at most {most} decoded at once, where the plan's speed is for {batch}"


def _fit(steps: Sequence[TimedStep], start: Factors, seen: Sequence[bool]) -> Factors:
    """Return factors of the phases that were seen, with a time for each step if that fits better.

    What prompts take of the few mixed steps, where prompts were hardly seen, is taken as known.
    """
    kept = [step for step in steps if seen[0 if step.is_prefill else 1]]
    parts = np.array([step.parts for step in kept])
    columns = [column for column in (0, 1) if seen[column]]
    fixed = [column for column in (0, 1) if not seen[column]]
    observed = np.array([step.observed_s for step in kept])
    observed = np.maximum(observed - parts[:, fixed] @ np.array([start[c] for c in fixed]), 1e-9)
    plain = fit_factors(observed, parts[:, columns])
    with_step = fit_factors(observed, parts[:, [*columns, 2]])
    errors = (
        mean_error(observed, parts[:, columns], plain),
        mean_error(observed, parts[:, [*columns, 2]], with_step),
    )
    is_better = errors[1] < (1 - _STEP_GAIN) * errors[0] and bool((with_step > 0).all())
    chosen: Array = with_step if is_better else np.append(plain, 0.0)
    if not (chosen[: len(columns)] > 0).all():
        return _apart(kept, start, columns)
    factors = [*start[:2], float(chosen[-1])]
    for column, factor in zip(columns, chosen, strict=False):
        factors[column] = float(factor)
    return factors[0], factors[1], factors[2]


def _apart(steps: Sequence[TimedStep], start: Factors, columns: Sequence[int]) -> Factors:
    """Return the median ratio of each phase's own steps, where both together make no sense.

    So it is where the head, which goes with the decodes, takes more of a prompt's step than the
    step took.
    """
    factors = [*start[:2], 0.0]
    for column in columns:
        mine = [step for step in steps if step.is_prefill == (column == 0)]
        ratios = [step.observed_s / (step.prefill_s + step.decode_s) for step in mine]
        factors[column] = float(np.median(ratios))
    return factors[0], factors[1], factors[2]


def _rounded(factors: Factors) -> Factors:
    bounded = [min(_BOUND, max(1 / _BOUND, factor)) for factor in factors[:2]]
    found = [float(f"{factor:.{_DIGITS}g}") for factor in (*bounded, factors[2])]
    return found[0], found[1], found[2]


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))
