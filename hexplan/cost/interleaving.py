"""Steps in two lanes, of which one computes while the sums of the other go on.

A layer then takes as long as the longer of computing and summing up, and not both, but each lane
reads the weights, and both take longer while both go on (docs/formulation.md 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from hexplan.cluster import Cluster
from hexplan.constants import LARGEST_STEP_TOKENS
from hexplan.cost.collectives import all_reduce_cost
from hexplan.cost.roofline import Roofline
from hexplan.cost.speed import find_profile
from hexplan.cost.stage_shape import StageShape
from hexplan.cost.step_times import DerivedStepTimes, StepTimes
from hexplan.model import Model
from hexplan.schedule.interleaving import pieces_of
from hexplan.techniques import SLOWDOWN, Interleave

_BYTES_OVER_START: Final = 64
"""Bytes of a piece take so many times as long as its start, at least: in steady turns one piece
hides as much as several, and each start takes time of whoever computes (decision 40)."""
_SUMS: Final = 2
"""Sums of a layer."""


@dataclass(frozen=True, slots=True)
class LaneTimes:
    """What the sums of a stage take, and how it interleaves them."""

    start_s: float
    """Before the first byte of a sum."""
    token_s: float
    """A token's bytes in one sum."""
    num_layers: int
    """Layers of the stage, over which the first and the last sum are spread that nothing hides."""
    interleave: Interleave

    @staticmethod
    def of(model: Model, shape: StageShape) -> LaneTimes | None:
        """Return them for a stage that interleaves; None for others."""
        interleave = shape.sharing.interleave
        if interleave is None:
            return None
        return _lanes(model, shape, interleave)

    def plain_s(self, tokens: int) -> float:
        """Return the seconds of a layer's sums in a plain step."""
        return _SUMS * (self.start_s + tokens * self.token_s)

    def lane_s(self, tokens: int) -> float:
        """Return the seconds of a layer's sums in a lane, each in pieces."""
        pieces = len(pieces_of(tokens, self.interleave))
        return _SUMS * (pieces * self.start_s + tokens * self.token_s)

    def overlapped_s(self, compute_s: float, sums_s: float) -> float:
        """Return the seconds of a layer whose lanes compute and sum up for so long together.

        All but one of four turns of a layer's shorter part is hidden, at one end of the stage.
        """
        longer_s, shorter_s = max(compute_s, sums_s), min(compute_s, sums_s)
        slower = float(self.interleave.slowdown) - 1
        return longer_s + (slower + 1 / (2 * _SUMS * self.num_layers)) * shorter_s


class InterleavedStepTimes(DerivedStepTimes):
    """Times of steps that run in two lanes from some size on."""

    def __init__(self, plain: StepTimes, lanes: LaneTimes) -> None:
        super().__init__(plain)
        self._lanes = lanes

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer; both lanes have half of prompts and of decodes."""
        if prompt + decode < self._lanes.interleave.from_tokens:
            return self._plain.layer_s(prompt, reach, decode, context)
        compute_s = sums_s = 0.0
        # An odd prompt token is in the first lane, and an odd decode in the second.
        for some, one in ((-(-prompt // 2), decode // 2), (prompt // 2, -(-decode // 2))):
            if some + one:
                share = some / prompt if prompt else 0.0, one / decode if decode else 0.0
                alone_s = self._plain.layer_s(some, share[0] * reach, one, share[1] * context)
                compute_s += max(0.0, alone_s - self._lanes.plain_s(some + one))
                sums_s += self._lanes.lane_s(some + one)
        return self._lanes.overlapped_s(compute_s, sums_s)


def slowdown_of(cluster: Cluster, shape: StageShape) -> Decimal:
    """Return the slowdown that is asked for, or else that of the group's profile, or else 1.15."""
    asked = cluster.techniques.slowdown
    if asked is not None:
        return asked
    profile = find_profile(cluster.measured_over(shape.interconnect), shape.devices)
    return SLOWDOWN if profile is None or profile.slowdown is None else profile.slowdown


def find_interleave(model: Model, shape: StageShape, slowdown: Decimal) -> Interleave | None:
    """Return how a stage would interleave its steps, or None if it gains nothing or cannot.

    It needs several devices that are tensor parallel, and sums that take time. Attention, which
    takes as long in both modes, is left out.
    """
    if len(shape.group) < 2 or not shape.sharing.is_tensor or shape.interconnect is None:
        return None
    every = Interleave(from_tokens=2, piece_tokens=1, slowdown=slowdown)
    sums = _lanes(model, shape, every)
    if not sums.token_s:
        return None
    piece_tokens = max(1, math.ceil(_BYTES_OVER_START * sums.start_s / sums.token_s))
    piece_tokens = min(piece_tokens, LARGEST_STEP_TOKENS)
    how = every.model_copy(update={"piece_tokens": piece_tokens})
    from_tokens = _first_gain(model, shape, _lanes(model, shape, how))
    return None if from_tokens is None else how.model_copy(update={"from_tokens": from_tokens})


def _lanes(model: Model, shape: StageShape, interleave: Interleave) -> LaneTimes:
    cost = all_reduce_cost(shape.interconnect, len(shape.group))
    token_s = cost.byte_s * model.hidden * model.dtype_bytes
    return LaneTimes(cost.start_s, token_s, shape.num_layers, interleave)


def _first_gain(model: Model, shape: StageShape, lanes: LaneTimes) -> int | None:
    """Return the tokens of the smallest step that is no slower in two lanes; None if none is.

    It is found by bisection: the larger a step, the less it loses by reading weights twice.
    """
    roofline = Roofline(model, shape.group, shape.interconnect)

    def gains(tokens: int) -> bool:
        compute_s = sums_s = 0.0
        for half in (-(-tokens // 2), tokens // 2):
            compute_s += roofline.layer_s(half, 0.0, 0, 0.0) - lanes.plain_s(half)
            sums_s += lanes.lane_s(half)
        return lanes.overlapped_s(compute_s, sums_s) <= roofline.layer_s(tokens, 0.0, 0, 0.0)

    low, high = 1, 2
    while not gains(high):
        low, high = high, 2 * high
        if high > LARGEST_STEP_TOKENS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if gains(middle) else (middle, high)
    return high
