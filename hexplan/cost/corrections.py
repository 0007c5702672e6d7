"""Corrections from launched plans: factors that bring predicted times to observed ones.

They apply to every source of times: a profile, scaled times or the datasheet
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
    """Return the correction for such a group of devices, if there is one.

    Only tensor-parallel stages are corrected, as no others were observed.
    """
    if not cluster.corrections or not sharing.is_tensor:
        return None
    names = {device.profile_name for device in devices}
    matches = (c for c in cluster.corrections if {c.device} == names and c.tp == len(devices))
    return next(matches, None)


def as_corrected(origin: str) -> str:
    """Return the origin that a corrected figure states."""
    return f"{origin}, corrected"


def phase_seconds(
    steps: StepTimes, prompt: int, reach: float, decode: int, context: float
) -> tuple[float, float]:
    """Return the seconds of one layer in a step, split into those of prompts and of decodes.

    Work that both share in a mixed step, such as reading the weights, is split in proportion to
    what each would take alone.
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
    """Predicted step times, corrected by what was observed."""

    def __init__(self, stated: StepTimes, correction: Correction) -> None:
        self.stated = stated
        """The times before the correction."""
        self.origin = as_corrected(stated.origin)
        self._prefill, self._decode = float(correction.prefill), float(correction.decode)
        self._step_s = float(correction.layer_step_s)

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens of a measured step, if any was measured."""
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

    def step_s(self, rows: int) -> float:
        """Return what a step takes besides, which observed times leave out."""
        return self.stated.step_s(rows)
