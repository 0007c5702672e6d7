"""What launched plans showed: factors that bring the times of a kind of stage to what it took.

They hold for whatever the times rest on: a profile, scaled times or the datasheet
(docs/formulation.md 4, "Corrected").
"""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.cluster import Cluster, Correction
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.step_times import StepTimes
from hexplan.device import DeviceType


def find_correction(
    cluster: Cluster, devices: Sequence[DeviceType], sharing: Sharing = TENSOR
) -> Correction | None:
    """Return what was observed of such a group of devices, if it was.

    Only tensor-parallel stages were.
    """
    if not cluster.corrections or not sharing.is_tensor:
        return None
    names = {device.profile_name for device in devices}
    matches = (c for c in cluster.corrections if {c.device} == names and c.tp == len(devices))
    return next(matches, None)


def as_corrected(origin: str) -> str:
    """Return what a corrected figure says that it rests on."""
    return f"{origin}, corrected"


def phase_seconds(
    steps: StepTimes, prompt: int, reach: float, decode: int, context: float
) -> tuple[float, float]:
    """Return what prompts and what decodes take of one layer's seconds in a step.

    What they share in a mixed step, such as reading the weights, is split in proportion to what
    each would take alone.
    """
    whole_s = steps.layer_s(prompt, reach, decode, context)
    if not decode:
        return whole_s, 0.0
    if not prompt:
        return 0.0, whole_s
    prefill_s = steps.layer_s(prompt, reach, 0, 0.0)
    decode_s = steps.layer_s(0, 0.0, decode, context)
    part_s = whole_s * prefill_s / ((prefill_s + decode_s) or 1.0)
    return part_s, whole_s - part_s


class CorrectedSteps:
    """Step times, times what was observed over them."""

    def __init__(self, stated: StepTimes, correction: Correction) -> None:
        self.stated = stated
        """The times without the correction."""
        self.origin = as_corrected(stated.origin)
        self._prefill, self._decode = float(correction.prefill), float(correction.decode)
        self._step_s = float(correction.layer_step_s)

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens in a step that the stated times were measured for."""
        return self.stated.measured_tokens

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer."""
        if not prompt and not decode:
            return 0.0
        prefill_s, decode_s = phase_seconds(self.stated, prompt, reach, decode, context)
        return self._prefill * prefill_s + self._decode * decode_s + self._step_s

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens."""
        return self._decode * self.stated.head_s(rows)
