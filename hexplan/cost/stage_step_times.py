"""Step times of any stage, however its devices share the work."""

from __future__ import annotations

from dataclasses import replace

from hexplan.cost.interleaving import InterleavedStepTimes, LaneTimes
from hexplan.cost.offloading import FetchTimes, OffloadedStepTimes
from hexplan.cost.sequence import SequenceRoofline
from hexplan.cost.stage_shape import StageShape
from hexplan.cost.step_times import StepTimes
from hexplan.cost.steps import tensor_step_times, uncorrected_step_times
from hexplan.spec import Spec


def stage_step_times(spec: Spec, shape: StageShape) -> StepTimes:
    """Return the step times of a stage, corrected if it is tensor parallel and was observed."""
    spec = replace(spec, cluster=spec.cluster.measured_over(shape.interconnect))
    if shape.sharing.is_tensor or shape.interconnect is None:
        plain = tensor_step_times(spec, shape)
        fetches = FetchTimes.of(spec.model, shape)
        if fetches is not None:
            return OffloadedStepTimes(plain, fetches)
        lanes = LaneTimes.of(spec.model, shape)
        return plain if lanes is None else InterleavedStepTimes(plain, lanes)
    roofline = SequenceRoofline.of(spec.model, shape, shape.interconnect)
    sequence = uncorrected_step_times(spec, shape, roofline)
    if shape.sharing.shift_tokens is None:
        return sequence
    tensor = uncorrected_step_times(spec, shape)
    return ShiftStepTimes(tensor, sequence, shape.sharing.shift_tokens)


class ShiftStepTimes:
    """Times of steps that are tensor parallel up to some size, and share out tokens above it.

    Prompt tokens and decodes both count towards the size.
    """

    def __init__(self, tensor: StepTimes, sequence: StepTimes, shift_tokens: int) -> None:
        self._tensor, self._sequence, self._shift_tokens = tensor, sequence, shift_tokens

    @property
    def origin(self) -> str:
        """What the times of large steps rest on; those of small steps are at least as certain."""
        return self._sequence.origin

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens of a measured step, if any was measured."""
        return self._sequence.measured_tokens

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer, in the mode of a step of this size."""
        is_small = prompt + decode <= self._shift_tokens
        steps = self._tensor if is_small else self._sequence
        return steps.layer_s(prompt, reach, decode, context)

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head, which is shared by vocabulary in both modes."""
        return self._tensor.head_s(rows)

    def step_s(self, rows: int) -> float:
        """Return what a step takes besides, in either mode."""
        return self._tensor.step_s(rows)
