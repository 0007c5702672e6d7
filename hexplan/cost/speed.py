"""How many tokens per second a stage passes (docs/formulation.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.cluster import Cluster, Correction, Profile
from hexplan.constants import MAX_BATCH, MICRO, UNTRIED_ERROR
from hexplan.cost.corrections import as_corrected, find_correction
from hexplan.cost.memory import step_tokens
from hexplan.cost.overheads import NO_OVERHEADS, Overheads
from hexplan.cost.roofline import Roofline
from hexplan.cost.scaling import MeasuredGroup, nearest_measured_group
from hexplan.cost.sequence import stage_roofline
from hexplan.cost.stage_shape import StageShape
from hexplan.device import DeviceType, Efficiency
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.spec import Spec
from hexplan.workload import Workload


@dataclass(frozen=True, slots=True)
class StageSpeed:
    """A stage's rate, what it rests on, and how far it may be off."""

    micro_tokens_per_s: int
    """In 1e-6 tokens/s."""
    origin: str
    """What it rests on."""
    error: Decimal
    """How far it may be off, as a share of it."""


@dataclass(frozen=True, slots=True)
class PhaseFactors:
    """What the seconds of prompts and of decodes are multiplied by."""

    prefill: float = 1.0
    decode: float = 1.0


UNCORRECTED = PhaseFactors()


def to_micro(tokens_per_s: Decimal | float) -> int:
    """Round a rate down to an integer number of 1e-6 tokens/s."""
    return int(tokens_per_s * MICRO)


def find_profile(cluster: Cluster, devices: Sequence[DeviceType]) -> Profile | None:
    """Return the measured profile of this group of devices, if there is one."""
    names = {device.profile_name for device in devices}
    matches = (p for p in cluster.profiles if {p.device} == names and p.tp == len(devices))
    return next(matches, None)


def stage_speed(spec: Spec, shape: StageShape, kv_tokens: int) -> StageSpeed:
    """Return a stage's speed: by its profile if there is one, else scaled, else by a roofline.

    Tensor-parallel stages are corrected if such a stage was observed. Profiles are of
    tensor-parallel groups, so the times of other stages are scaled from them.

    Parameters
    ----------
    kv_tokens
        Tokens of context for which the stage's KV cache has room.
    """
    spec = replace(spec, cluster=spec.cluster.measured_over(shape.interconnect))
    correction = find_correction(spec.cluster, shape.devices, shape.sharing)
    request = _MeanRequest.of(spec, shape, kv_tokens)
    profile = find_profile(spec.cluster, shape.devices) if shape.sharing.is_tensor else None
    if profile is not None:
        return _profiled_speed(profile, spec, shape, request, correction)
    roofline = stage_roofline(spec.model, shape)
    group = nearest_measured_group(spec.cluster, shape.devices)
    if group is None:
        origin, error, factor = "datasheet", roofline_error(spec.model, shape), 1.0
        request = replace(request, overheads=Overheads.of(spec.cluster))
    else:
        origin, error = group.origin, group.error
        factor = _factor(group, request, shape)
    seconds = request.seconds(roofline) * factor
    stated = StageSpeed(to_micro(spec.workload.mean_tokens / seconds), origin, error)
    if correction is None:
        return stated
    return _corrected(stated, request, roofline, factor, correction)


def roofline_error(model: Model, shape: StageShape) -> Decimal:
    """Return how far datasheet times may be off, as a share of them."""
    error = max(_device_error(model, device.efficiency) for device in shape.devices)
    if len(shape.devices) > 1 and shape.interconnect is not None:
        error = max(error, shape.interconnect.error)
    return error


def _device_error(model: Model, efficiency: Efficiency) -> Decimal:
    """Return the largest error of the kernels that a model uses; of untried ones, a large one."""
    form = model.weights.name if model.weights else None
    dense = {None: efficiency, "fp8": efficiency.fp8}.get(form)
    experts = {None: efficiency.experts, "fp8": efficiency.fp8_experts}.get(form)
    used = (dense, experts) if model.experts else (dense,)
    errors = [kind.error if kind else max(efficiency.error, UNTRIED_ERROR) for kind in used]
    return max(errors)


def _profiled_speed(
    profile: Profile,
    spec: Spec,
    shape: StageShape,
    request: _MeanRequest,
    correction: Correction | None,
) -> StageSpeed:
    if shape.num_layers > len(profile.tokens_per_s):
        origin = f"measured for at most {len(profile.tokens_per_s)} layers"
        return StageSpeed(0, origin, profile.error)
    rate = profile.tokens_per_s[shape.num_layers - 1]
    stated = StageSpeed(to_micro(rate), "measured profile", profile.error)
    if correction is None or not rate:
        return stated
    roofline = stage_roofline(spec.model, shape)
    factor = spec.workload.mean_tokens / float(rate) / request.seconds(roofline)
    return _corrected(stated, request, roofline, factor, correction)


def _corrected(
    stated: StageSpeed,
    request: _MeanRequest,
    roofline: Roofline,
    factor: float,
    correction: Correction,
) -> StageSpeed:
    """Return a corrected speed; the datasheet tells how prompts and decodes share its time."""
    factors = PhaseFactors(float(correction.prefill), float(correction.decode))
    seconds = factor * request.seconds(roofline, factors)
    seconds += float(correction.layer_step_s) * request.num_layers * request.num_steps
    rate = to_micro(request.workload.mean_tokens / seconds)
    return StageSpeed(rate, as_corrected(stated.origin), correction.error)


def _factor(group: MeasuredGroup, request: _MeanRequest, shape: StageShape) -> float:
    """Return measured over datasheet seconds of a mean request on the measured group."""
    rates = group.profile.tokens_per_s
    held = min(request.num_layers, len(rates))
    roofline = group.roofline(request.model, shape.interconnect)
    measured_s = request.workload.mean_tokens / float(rates[held - 1]) / held
    return measured_s / request.layer_s(roofline)


@dataclass(frozen=True, slots=True)
class _MeanRequest:
    """A mean request as one stage meets it."""

    model: Model
    workload: Workload
    step_tokens: int
    layers: Range
    kv_tokens: int
    overheads: Overheads = NO_OVERHEADS
    """What the stage takes besides its kernels."""

    @classmethod
    def of(cls, spec: Spec, shape: StageShape, kv_tokens: int) -> _MeanRequest:
        """Return a mean request of the spec's workload on a stage."""
        tokens = step_tokens(spec.cluster, spec.workload)
        return cls(spec.model, spec.workload, tokens, shape.layers, kv_tokens)

    @property
    def num_layers(self) -> int:
        return self.layers[1] - self.layers[0]

    @property
    def num_steps(self) -> float:
        """The steps of its prompt, plus its share of decode steps."""
        return self._passes + self._decode_steps

    def seconds(self, roofline: Roofline, factors: PhaseFactors = UNCORRECTED) -> float:
        """Return the seconds of the stage's time that the request takes."""
        head_s = 0.0
        if self.layers[1] == self.model.layers:
            rows_s = roofline.head_s(self._batch) + self._batch * self.overheads.token_s
            head_s = self._decode_steps * rows_s
        return self.num_layers * self.layer_s(roofline, factors) + factors.decode * head_s

    def layer_s(self, roofline: Roofline, factors: PhaseFactors = UNCORRECTED) -> float:
        """Return the seconds of one layer that its prompt and its share of decode steps take.

        What a step takes besides its layers is spread over them.
        """
        prompt, output = self.workload.prompt_tokens.mean, self.workload.output_tokens.mean
        batch = self._batch
        besides_s = self.overheads.step_s / self.num_layers
        prefill_s = roofline.layer_s(prompt, prompt**2 / 2, 0, 0.0, self._passes)
        prefill_s += self._passes * besides_s
        decode_s = roofline.layer_s(0, 0.0, batch, batch * (prompt + output / 2)) + besides_s
        return factors.prefill * prefill_s + factors.decode * self._decode_steps * decode_s

    @property
    def _passes(self) -> int:
        return -(-self.workload.prompt_tokens.mean // self.step_tokens)

    @property
    def _decode_steps(self) -> float:
        return self.workload.output_tokens.mean / self._batch

    @property
    def _batch(self) -> int:
        """Requests that decode at once: those that fit the KV cache, times the share of layers."""
        held = self.kv_tokens * self.num_layers
        share = held // (self.workload.mean_tokens * self.model.layers)
        return min(MAX_BATCH, max(1, share))
