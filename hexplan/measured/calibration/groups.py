"""Fit one correction to the stages of one device type and degree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from hexplan.cluster import Correction
from hexplan.constants import MAX_BATCH
from hexplan.measured.calibration.fit import Array, fit_factors, mean_error
from hexplan.measured.calibration.parameters import PARAMETERS
from hexplan.measured.calibration.steps import TimedStep

MOST_ERROR: Final = 0.99
"""The largest error that an overlay can state."""
_DIGITS: Final = 4
"""Significant digits of a factor."""
_BOUND: Final = 1e6
"""The largest factor that an overlay can state; the smallest is one over it."""
_LEAST_ADDED_S: Final = 1e-9
"""Less than a nanosecond a layer and step is a rounding error of the fit: no clock here sees it."""
_PREFILL, _DECODE, _STEP = range(3)
"""The columns of a fit, in the order of `TimedStep.parts`."""
_PHASES: Final = ("prompts", "decodes")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a correction is for: stages of one device type and degree."""

    device: str
    tp: int


@dataclass(frozen=True, slots=True)
class Basis:
    """What a correction rests on."""

    source: str
    """The observations, in words."""
    is_sure: bool
    """Whether there were enough of them."""


@dataclass(frozen=True, slots=True)
class Factors:
    """The three figures of a correction, in the order of `TimedStep.parts`."""

    prefill: float = 1.0
    decode: float = 1.0
    layer_step_s: float = 0.0

    @classmethod
    def of(cls, known: Correction | None) -> Factors:
        """Return the factors of a correction; None leaves times as they are."""
        if known is None:
            return cls()
        return cls(float(known.prefill), float(known.decode), float(known.layer_step_s))

    def seconds(self, step: TimedStep) -> float:
        """Return the corrected time of a step."""
        prefill_s, decode_s, num_layers = step.parts
        return self.prefill * prefill_s + self.decode * decode_s + self.layer_step_s * num_layers

    def rounded(self) -> Factors:
        """Return what an overlay can state of these factors."""
        bounded = (min(_BOUND, max(1 / _BOUND, f)) for f in (self.prefill, self.decode))
        added_s = self.layer_step_s if self.layer_step_s >= _LEAST_ADDED_S else 0.0
        return Factors(*(float(f"{f:.{_DIGITS}g}") for f in (*bounded, added_s)))


def fit_group(
    runs: Sequence[Sequence[TimedStep]], kind: Kind, known: Correction | None, basis: Basis
) -> Correction | None:
    """Return the correction that fits the steps of one kind of stage; None if they are too few.

    Parameters
    ----------
    runs
        The steps of one stage in one launch each.
    known
        The plan's present correction; a phase with too few steps keeps its factor.
    """
    steps = [step for run in runs for step in run]
    enough = PARAMETERS.min_steps
    seen = [_number(steps, is_prefill=is_prefill) >= enough for is_prefill in (True, False)]
    if not any(seen):
        return None
    found = _fit(steps, Factors.of(known), seen).rounded()
    claimed = PARAMETERS.least_error if basis.is_sure else PARAMETERS.doubted_error
    error = max(_largest_error(runs, found), claimed)
    return Correction(
        device=kind.device,
        tp=kind.tp,
        prefill=_exact(found.prefill),
        decode=_exact(found.decode),
        layer_step_s=_exact(found.layer_step_s),
        error=Decimal(f"{min(MOST_ERROR, error):.2f}"),
        source=basis.source,
    )


def _largest_error(runs: Sequence[Sequence[TimedStep]], factors: Factors) -> float:
    """Return the largest relative error of the corrected seconds of a phase in a run.

    A plan's speeds are means over many steps, so the error is that of the sum of all steps.
    """
    errors = [0.0]
    for run in runs:
        for is_prefill in (True, False):
            mine = [step for step in run if step.is_prefill == is_prefill]
            if len(mine) >= PARAMETERS.min_steps:
                observed_s = sum(step.observed_s for step in mine)
                errors.append(abs(observed_s / sum(map(factors.seconds, mine)) - 1))
    return max(errors)


def _number(steps: Sequence[TimedStep], *, is_prefill: bool) -> int:
    return sum(step.is_prefill == is_prefill for step in steps)


def doubts(steps: Sequence[TimedStep], planned_batch: int) -> Iterator[str]:
    """Yield why the correction that these steps give is in doubt.

    Parameters
    ----------
    planned_batch
        How many requests decode at once in the plan's predicted speed.
    """
    for name, is_prefill in zip(_PHASES, (True, False), strict=True):
        number = _number(steps, is_prefill=is_prefill)
        if number < PARAMETERS.min_steps:
            kept = "their factor stays as it was"
            yield f"{number or 'no'} steps of {name}, fewer than {PARAMETERS.min_steps}: {kept}"
        elif number < PARAMETERS.sure_steps:
            yield f"{number} steps of {name}, fewer than {PARAMETERS.sure_steps}"
    most = max((step.decode_tokens for step in steps), default=0)
    if most * 2 < planned_batch:
        batch = min(MAX_BATCH, planned_batch)
        yield f"at most {most} decoded at once, where the plan's speed is for {batch}"


def _fit(steps: Sequence[TimedStep], start: Factors, seen: Sequence[bool]) -> Factors:
    """Return factors of the phases in `seen`, with a time per step if that fits better.

    The other phase keeps its factor, and its share of mixed steps is subtracted first.
    """
    kept = [step for step in steps if seen[_PREFILL if step.is_prefill else _DECODE]]
    parts = np.array([step.parts for step in kept])
    columns = [column for column in (_PREFILL, _DECODE) if seen[column]]
    fixed = [column for column in (_PREFILL, _DECODE) if not seen[column]]
    known = np.array(astuple(start))
    observed = np.array([step.observed_s for step in kept])
    observed = np.maximum(observed - parts[:, fixed] @ known[fixed], 1e-9)
    plain = fit_factors(observed, parts[:, columns])
    with_step = fit_factors(observed, parts[:, [*columns, _STEP]])
    errors = (
        mean_error(observed, parts[:, columns], plain),
        mean_error(observed, parts[:, [*columns, _STEP]], with_step),
    )
    is_better = errors[1] < (1 - PARAMETERS.step_gain) * errors[0] and bool((with_step > 0).all())
    chosen: Array = with_step if is_better else np.append(plain, 0.0)
    if not (chosen[: len(columns)] > 0).all():
        return _apart(kept, start, columns)
    known[[*columns, _STEP]] = chosen
    return Factors(*map(float, known))


def _apart(steps: Sequence[TimedStep], start: Factors, columns: Sequence[int]) -> Factors:
    """Return the median ratio of each phase's own steps, for when a joint fit makes no sense.

    It makes none where the output head, which counts as decode, is predicted to take more of a
    prompt's step than the step took.
    """
    factors = [start.prefill, start.decode, 0.0]
    for column in columns:
        mine = [step for step in steps if step.is_prefill == (column == _PREFILL)]
        ratios = [step.observed_s / (step.prefill_s + step.decode_s) for step in mine]
        factors[column] = float(np.median(ratios))
    return Factors(*factors)


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))
