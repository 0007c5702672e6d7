"""How long a stage takes for one step, the tokens that it puts through its layers at once.

`T(k)` of hexplan.cost.speed is a mean over a workload, while a simulator needs the time of each
step. It comes from the profile's table of one layer if there is one, else from the same roofline,
scaled if a similar group of devices was measured.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from hexplan.cluster import Profile, StepPoint
from hexplan.cost.corrections import CorrectedSteps, find_correction
from hexplan.cost.overheads import NO_OVERHEADS, Overheads
from hexplan.cost.roofline import Roofline
from hexplan.cost.scaling import nearest_measured_group
from hexplan.cost.speed import find_profile
from hexplan.cost.stage_shape import StageShape
from hexplan.cost.step_times import StepTimes
from hexplan.spec import Spec


def tensor_step_times(spec: Spec, shape: StageShape) -> StepTimes:
    """Return the step times of a tensor-parallel stage, corrected if such a stage was observed."""
    steps = uncorrected_step_times(spec, shape)
    correction = find_correction(spec.cluster, shape.devices)
    return steps if correction is None else CorrectedSteps(steps, correction)


def are_measured(steps: StepTimes) -> bool:
    """Say whether times are those of the stage's own profile, corrected or not."""
    stated = steps.stated if isinstance(steps, CorrectedSteps) else steps
    return isinstance(stated, MeasuredSteps)


def uncorrected_step_times(
    spec: Spec, shape: StageShape, roofline: Roofline | None = None
) -> StepTimes:
    """Return the step times of a stage without any correction.

    Parameters
    ----------
    roofline
        Datasheet times to use instead of the tensor-parallel ones. Profiles are then scaled, as
        they are of tensor-parallel groups.
    """
    model, workload = spec.model, spec.workload
    profile = find_profile(spec.cluster, shape.devices) if roofline is None else None
    if profile is not None and profile.prefill_layer_s:
        return measured_steps(profile)
    own = roofline or Roofline(model, shape.group, shape.interconnect)
    group = nearest_measured_group(spec.cluster, shape.devices) if profile is None else None
    if profile is None and group is None:
        return RooflineSteps(own, Overheads.of(spec.cluster), shape.num_layers)
    steps = RooflineSteps(own)
    if group is None or not group.profile.prefill_layer_s:
        return steps
    measured = measured_steps(group.profile)
    known = RooflineSteps(group.roofline(model, shape.interconnect))
    context = workload.prompt_tokens.mean + workload.output_tokens.mean // 2
    return ScaledSteps(steps, measured, known, context, group.origin)


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds by tokens: linear between the points, and from the origin to the first point.

    Beyond the last point, the seconds per token stay those of the last point. Callers that state
    such times say so; `last` tells them where they begin.
    """

    tokens: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def last(self) -> int:
        """The largest number of tokens that was measured."""
        return self.tokens[-1]

    def at(self, tokens: int) -> float:
        """Return the seconds for so many tokens."""
        if tokens > self.tokens[-1]:
            return self.seconds[-1] * tokens / self.tokens[-1]
        right = bisect_left(self.tokens, tokens)
        low, low_s = (self.tokens[right - 1], self.seconds[right - 1]) if right else (0, 0.0)
        if self.tokens[right] == tokens:
            return self.seconds[right]
        share = (tokens - low) / (self.tokens[right] - low)
        return low_s + share * (self.seconds[right] - low_s)


@lru_cache(maxsize=256)
def _curve(points: tuple[StepPoint, ...]) -> Curve:
    kept = [(tokens, float(seconds)) for tokens, seconds in points if tokens]
    return Curve(tuple(tokens for tokens, _ in kept), tuple(seconds for _, seconds in kept))


@lru_cache(maxsize=256)
def _tabulated(curve: Curve, is_flat_at_first: bool) -> tuple[float, ...]:
    """Return the seconds for 0, 1, ... tokens up to the last point, for fast look-up.

    With `is_flat_at_first`, batches below the smallest measured one take as long as that one:
    reading the weights sets the time of such decodes.
    """
    flat = curve.tokens[0] if is_flat_at_first else 0
    return (0.0, *(curve.at(max(flat, tokens)) for tokens in range(1, curve.last + 1)))


def measured_steps(profile: Profile) -> MeasuredSteps:
    """Return the step times of a profile, which must have some."""
    head = _curve(profile.head_s) if profile.head_s else None
    step = _curve(profile.step_s) if profile.step_s else None
    prefill, decode = _curve(profile.prefill_layer_s), _curve(profile.decode_layer_s)
    return MeasuredSteps(prefill, decode, head, step)


class MeasuredSteps:
    """Times measured for one layer, at the measured context.

    Without a curve of the output head, or of what a step takes besides, they count as including it.
    """

    origin = "measured profile"

    def __init__(
        self,
        prefill: Curve,
        decode: Curve,
        head: Curve | None = None,
        step: Curve | None = None,
    ) -> None:
        self._prefill, self._decode = prefill, decode
        # Prompts as short as a few decodes tell which part of decodes is the work of matrices.
        self._are_shared = prefill.tokens[0] <= decode.tokens[0]
        self._prefill_s = _tabulated(prefill, self._are_shared)
        self._decode_s = _tabulated(decode, True)
        self._head = head
        self._head_s = _tabulated(head, True) if head else (0.0,)
        self._step = step
        self._step_s = _tabulated(step, True) if step else (0.0,)

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens of a measured step."""
        return self._prefill.last, self._decode.last

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer: those of the prompts plus those of the decodes.

        Prompts alone take at least as long as the smallest batch of decodes, because they read the
        same weights. Where the tables tell what a step shares, both together take as long as so
        many more prompt tokens, and what decodes take besides: they read more keys and values.
        """
        if self._are_shared and prompt and decode:
            return self._together_s(prompt, decode)
        if prompt < len(self._prefill_s) and decode < len(self._decode_s):
            if prompt and not decode:
                return max(self._prefill_s[prompt], self._decode_s[1])
            return self._prefill_s[prompt] + self._decode_s[decode]
        decode_s = self._decode_s[decode] if decode < len(self._decode_s) else None
        return self._prefill.at(prompt) * bool(prompt) + (
            self._decode.at(decode) if decode_s is None else decode_s
        )

    def _together_s(self, prompt: int, decode: int) -> float:
        """Return the seconds of prompts and decodes that share the work of matrices."""
        decode_s = self._of(self._decode, self._decode_s, decode)
        besides_s = max(0.0, decode_s - self._of(self._prefill, self._prefill_s, decode))
        shared_s = self._of(self._prefill, self._prefill_s, prompt + decode)
        return max(decode_s, shared_s + besides_s)

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head; 0 if it was not measured by itself."""
        return self._of(self._head, self._head_s, rows) if self._head else 0.0

    def step_s(self, rows: int) -> float:
        """Return the seconds of a step besides; 0 if they were not measured by themselves."""
        return self._of(self._step, self._step_s, rows) if self._step else 0.0

    @staticmethod
    def _of(curve: Curve, tabulated: tuple[float, ...], tokens: int) -> float:
        return tabulated[tokens] if tokens < len(tabulated) else curve.at(tokens)


class RooflineSteps:
    """Datasheet times; prompts and decodes of one step share the reading of weights."""

    origin = "datasheet"
    measured_tokens: tuple[int, int] | None = None

    def __init__(
        self, roofline: Roofline, overheads: Overheads = NO_OVERHEADS, num_layers: int = 1
    ) -> None:
        """Take what a step costs besides its layers, and the layers over which that is spread."""
        self._roofline, self._token_s = roofline, overheads.token_s
        self._besides_s = overheads.step_s / num_layers

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer, with its share of what the step costs besides."""
        if not prompt and not decode:
            return 0.0
        return self._roofline.layer_s(prompt, reach, decode, context) + self._besides_s

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens, with what each costs besides."""
        return self._roofline.head_s(rows) + rows * self._token_s

    def step_s(self, rows: int) -> float:
        """Return nothing: what a step costs besides is spread over its layers."""
        return 0.0


class ScaledSteps:
    """Datasheet times, multiplied by measured over datasheet times of a similar group."""

    def __init__(
        self,
        steps: RooflineSteps,
        measured: MeasuredSteps,
        known: RooflineSteps,
        context: int,
        origin: str,
    ) -> None:
        self.origin = origin
        self._steps, self._measured, self._known = steps, measured, known
        self._context = context

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens of a measured step of the similar group."""
        return self._measured.measured_tokens

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer: those of the prompts plus those of the decodes."""
        total = 0.0
        if prompt:
            own_s = self._steps.layer_s(prompt, reach, 0, 0.0)
            total += own_s * self._factor(prompt, prompt * prompt / 2, 0, 0.0)
        if decode:
            own_s = self._steps.layer_s(0, 0.0, decode, context)
            total += own_s * self._factor(0, 0.0, decode, decode * self._context)
        return total

    def _factor(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return measured over datasheet seconds of the similar group, for whole prompts."""
        measured_s = self._measured.layer_s(prompt, reach, decode, context)
        return measured_s / self._known.layer_s(prompt, reach, decode, context)

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head by the datasheet, as it was not measured."""
        return self._steps.head_s(rows)

    def step_s(self, rows: int) -> float:
        """Return what a step of the similar group takes besides its layers."""
        return self._measured.step_s(rows)
