"""How long a stage takes for one step: the tokens that it puts through its layers at once.

`T(k)` of hexplan.cost.speed is a mean over a workload; a step time is what a simulator needs. It
comes from the profile's table of one layer where there is one, else from the same roofline, scaled
where a like group of devices was measured.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hexplan.cluster import Cluster, Profile, StepPoint
from hexplan.cost.corrections import CorrectedSteps, find_correction
from hexplan.cost.roofline import Roofline
from hexplan.cost.scaling import find_basis
from hexplan.cost.speed import find_profile
from hexplan.cost.step_times import StepTimes
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.workload import Workload


def stage_steps(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    group: Sequence[tuple[DeviceType, ShardSizes]],
    interconnect: Interconnect | None,
) -> StepTimes:
    """Return the step times of a tensor-parallel stage, corrected where such a one was observed.

    They are measured where a profile has them, else by the datasheet, scaled where a like group was
    measured.
    """
    steps = stated_steps(cluster, spec, group, interconnect)
    correction = find_correction(cluster, [device for device, _ in group])
    return steps if correction is None else CorrectedSteps(steps, correction)


def are_measured(steps: StepTimes) -> bool:
    """Say whether times are those of the stage's own profile, corrected or not."""
    stated = steps.stated if isinstance(steps, CorrectedSteps) else steps
    return isinstance(stated, MeasuredSteps)


def stated_steps(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    group: Sequence[tuple[DeviceType, ShardSizes]],
    interconnect: Interconnect | None,
    roofline: Roofline | None = None,
) -> StepTimes:
    """Return the step times of a stage without any correction.

    A `roofline` that is given takes the place of the tensor-parallel one; profiles are of
    tensor-parallel groups, so scaled then.
    """
    model, workload = spec
    devices = [device for device, _ in group]
    profile = find_profile(cluster, devices) if roofline is None else None
    if profile is not None and profile.prefill_layer_s:
        return measured_steps(profile)
    steps = RooflineSteps(roofline or Roofline(model, group, interconnect))
    basis = find_basis(cluster, devices) if profile is None else None
    if basis is None or not basis.profile.prefill_layer_s:
        return steps
    known = RooflineSteps(basis.roofline(model, interconnect))
    context = workload.prompt_tokens.mean + workload.output_tokens.mean // 2
    return ScaledSteps(steps, (measured_steps(basis.profile), known), context, basis.origin)


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds by tokens: linear between the points and from the origin to the first.

    Beyond the last point it goes on at the last point's seconds per token; whoever uses it says
    so, by `last`.
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

    Decoding a token or two takes what the smallest measured batch takes, as reading the weights
    sets the time (`is_flat_at_first`).
    """
    flat = curve.tokens[0] if is_flat_at_first else 0
    return (0.0, *(curve.at(max(flat, tokens)) for tokens in range(1, curve.last + 1)))


def measured_steps(profile: Profile) -> MeasuredSteps:
    """Return the times that a profile has; it must have some."""
    return MeasuredSteps(_curve(profile.prefill_layer_s), _curve(profile.decode_layer_s))


class MeasuredSteps:
    """Times measured for one layer; context and output head are in them as they were measured."""

    origin = "measured profile"

    def __init__(self, prefill: Curve, decode: Curve) -> None:
        self._prefill, self._decode = prefill, decode
        self._prefill_s = _tabulated(prefill, False)
        self._decode_s = _tabulated(decode, True)

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens in a step that were measured."""
        return self._prefill.last, self._decode.last

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer: those of the prompts plus those of the decodes.

        Prompts alone take no less than the smallest batch of decodes: they read the same weights.
        """
        if prompt < len(self._prefill_s) and decode < len(self._decode_s):
            if prompt and not decode:
                return max(self._prefill_s[prompt], self._decode_s[1])
            return self._prefill_s[prompt] + self._decode_s[decode]
        decode_s = self._decode_s[decode] if decode < len(self._decode_s) else None
        return self._prefill.at(prompt) * bool(prompt) + (
            self._decode.at(decode) if decode_s is None else decode_s
        )

    def head_s(self, rows: int) -> float:
        """Return nothing: the head was not measured apart."""
        return 0.0


class RooflineSteps:
    """Datasheet times; prompts and decodes of one step read the weights together."""

    origin = "datasheet"
    measured_tokens: tuple[int, int] | None = None

    def __init__(self, roofline: Roofline) -> None:
        self._roofline = roofline

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of one layer."""
        return self._roofline.layer_s(prompt, reach, decode, context)

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens."""
        return self._roofline.head_s(rows)


class ScaledSteps:
    """Datasheet times, times what a like group took over its own datasheet times."""

    def __init__(
        self,
        steps: RooflineSteps,
        like: tuple[MeasuredSteps, RooflineSteps],
        context: int,
        origin: str,
    ) -> None:
        self.origin = origin
        self._steps, (self._measured, self._known), self._context = steps, like, context

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens in a step that were measured of the like group."""
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
        """Return measured over datasheet seconds of the like group, for whole prompts."""
        measured_s = self._measured.layer_s(prompt, reach, decode, context)
        return measured_s / self._known.layer_s(prompt, reach, decode, context)

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head, which was not measured, by the datasheet."""
        return self._steps.head_s(rows)
