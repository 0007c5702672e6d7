"""The interface of every source of step times."""

from __future__ import annotations

from typing import Protocol


class StepTimes(Protocol):
    """The time of one step, in seconds."""

    @property
    def origin(self) -> str:
        """What the times rest on."""

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens of a measured step, if any was measured."""

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer.

        Parameters
        ----------
        prompt
            Prompt tokens in the step.
        reach
            Sum of the numbers of positions that those tokens attend to: `n (o + n / 2)` for n
            tokens from position o on.
        decode
            Decoded tokens in the step, one per request.
        context
            Sum of the contexts of those requests, in tokens.
        """

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens; 0 if the layers include it."""

    def step_s(self, rows: int) -> float:
        """Return the seconds of a step of `rows` rows besides; 0 if the layers include them."""


class DerivedStepTimes:
    """Times of steps that differ from plain ones in their layers alone: a base class.

    Parameters
    ----------
    plain
        What the times of the layers are derived from, and all others are.
    """

    def __init__(self, plain: StepTimes) -> None:
        self._plain = plain

    @property
    def origin(self) -> str:
        """What the times of plain steps rest on."""
        return self._plain.origin

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens of a measured step, if any was measured."""
        return self._plain.measured_tokens

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head, as in a plain step."""
        return self._plain.head_s(rows)

    def step_s(self, rows: int) -> float:
        """Return what a step takes besides, as a plain one does."""
        return self._plain.step_s(rows)
