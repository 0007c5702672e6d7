"""How many tokens per second a stage passes (docs/formulation.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster, Correction, Profile
from hexplan.cost.corrections import as_corrected, find_correction
from hexplan.cost.memory import step_tokens
from hexplan.cost.roofline import Roofline
from hexplan.cost.scaling import Basis, find_basis
from hexplan.cost.sequence import shared_roofline
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.noun import RATE_DIGITS, Range
from hexplan.step_limits import MAX_BATCH
from hexplan.workload import Workload

UNTRIED_ERROR = Decimal("0.5")
"""Least error of datasheet times for experts and quantised weights, of which none were measured."""
MICRO: int = 10**RATE_DIGITS
"""Rates are whole numbers of 1 / MICRO tokens/s."""


@dataclass(frozen=True, slots=True)
class StageSpeed:
    """A stage's rate in 1e-6 tokens/s, what it rests on, and how far it may be off."""

    micro_tokens_per_s: int
    origin: str
    error: Decimal


def to_micro(tokens_per_s: Decimal | float) -> int:
    """Round a rate down to whole 1e-6 tokens/s."""
    return int(tokens_per_s * MICRO)


def find_profile(cluster: Cluster, devices: Sequence[DeviceType]) -> Profile | None:
    """Return the measured profile of this group of devices, if there is one."""
    names = {device.profile_name for device in devices}
    matches = (p for p in cluster.profiles if {p.device} == names and p.tp == len(devices))
    return next(matches, None)


def stage_speed(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    layers: Range,
    group: Sequence[tuple[DeviceType, ShardSizes]],
    link: tuple[Interconnect | None, int],
    sharing: Sharing = TENSOR,
) -> StageSpeed:
    """Return a stage's speed: measured where a profile speaks, else scaled, else by a roofline.

    All of them are corrected where such a tensor-parallel stage was observed.

    Parameters
    ----------
    spec
        The model and the workload.
    group
        Each device of the stage with its shard's sizes.
    link
        The host's interconnect, and the stage's KV room in tokens.
    sharing
        How its devices share the work; profiles are of tensor-parallel groups, and so are scaled
        for others.
    """
    cluster = cluster.measured_over(link[0])
    num_layers = layers[1] - layers[0]
    devices = [device for device, _ in group]
    profile = find_profile(cluster, devices) if sharing.is_tensor else None
    correction = find_correction(cluster, devices, sharing)
    request = _Request(*spec, step_tokens(cluster, spec[1]), layers, link[1])
    roofline = shared_roofline(spec[0], layers, group, link[0], sharing)
    if profile is not None:
        if num_layers > len(profile.tokens_per_s):
            origin = f"measured for at most {len(profile.tokens_per_s)} layers"
            return StageSpeed(0, origin, profile.error)
        rate = profile.tokens_per_s[num_layers - 1]
        stated = StageSpeed(to_micro(rate), "measured profile", profile.error)
        if correction is None or not rate:
            return stated
        factor = spec[1].mean_tokens / float(rate) / request.seconds(roofline)
        return _corrected(stated, request, roofline, factor, correction)
    basis = find_basis(cluster, devices)
    if basis is None:
        origin, error, factor = "datasheet", roofline_error(spec[0], devices), 1.0
    else:
        origin, error = basis.origin, basis.error
        factor = _factor(basis, request, link[0])
    seconds = request.seconds(roofline) * factor
    stated = StageSpeed(to_micro(spec[1].mean_tokens / seconds), origin, error)
    if correction is None:
        return stated
    return _corrected(stated, request, roofline, factor, correction)


def _corrected(
    stated: StageSpeed,
    request: _Request,
    roofline: Roofline,
    factor: float,
    correction: Correction,
) -> StageSpeed:
    """Return a speed as corrected; the datasheet says what prompts and decodes take of its time."""
    phases = float(correction.prefill), float(correction.decode)
    seconds = factor * request.seconds(roofline, phases)
    seconds += float(correction.layer_step_s) * request.num_layers * request.num_steps
    rate = to_micro(request.workload.mean_tokens / seconds)
    return StageSpeed(rate, as_corrected(stated.origin), correction.error)


def roofline_error(model: Model, devices: Sequence[DeviceType]) -> Decimal:
    """Return how far times by the datasheet may be off, as a share of them."""
    error = max(device.efficiency.error for device in devices)
    return max(error, UNTRIED_ERROR) if model.experts or model.weights else error


def _factor(basis: Basis, request: _Request, interconnect: Interconnect | None) -> float:
    """Return measured seconds over those of the roofline, for a mean request on the basis."""
    rates = basis.profile.tokens_per_s
    held = min(request.num_layers, len(rates))
    roofline = basis.roofline(request.model, interconnect)
    measured_s = request.workload.mean_tokens / float(rates[held - 1]) / held
    return measured_s / request.layer_s(roofline)


@dataclass(frozen=True, slots=True)
class _Request:
    """A mean request as one stage meets it."""

    model: Model
    workload: Workload
    step_tokens: int
    layers: Range
    kv_tokens: int

    @property
    def num_layers(self) -> int:
        return self.layers[1] - self.layers[0]

    @property
    def num_steps(self) -> float:
        """The steps that it takes: those of its prompt, and its share of decode steps."""
        return self._passes + self._decode_steps

    def seconds(self, roofline: Roofline, phases: tuple[float, float] = (1.0, 1.0)) -> float:
        """Return what the request takes of the stage's time, prefill and decode times a factor."""
        head_s = 0.0
        if self.layers[1] == self.model.layers:
            head_s = self._decode_steps * roofline.head_s(self._batch)
        return self.num_layers * self.layer_s(roofline, phases) + phases[1] * head_s

    def layer_s(self, roofline: Roofline, phases: tuple[float, float] = (1.0, 1.0)) -> float:
        """Return what it takes of one layer's time: its prompt, and its share of decode steps."""
        prompt, output = self.workload.prompt_tokens.mean, self.workload.output_tokens.mean
        batch = self._batch
        prefill_s = roofline.layer_s(prompt, prompt**2 / 2, 0, 0.0, self._passes)
        decode_s = roofline.layer_s(0, 0.0, batch, batch * (prompt + output / 2))
        return phases[0] * prefill_s + phases[1] * self._decode_steps * decode_s

    @property
    def _passes(self) -> int:
        return -(-self.workload.prompt_tokens.mean // self.step_tokens)

    @property
    def _decode_steps(self) -> float:
        return self.workload.output_tokens.mean / self._batch

    @property
    def _batch(self) -> int:
        """Requests that decode at once: those that the KV room admits, times the share held."""
        held = self.kv_tokens * self.num_layers
        share = held // (self.workload.mean_tokens * self.model.layers)
        return min(MAX_BATCH, max(1, share))
