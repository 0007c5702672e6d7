"""How many tokens per second a stage passes (docs/formulation.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster, DeviceType, Interconnect, Profile
from hexplan.cost.memory import ShardSizes, kv_bytes_per_token, layer_parameters
from hexplan.model import Model
from hexplan.noun import RATE_DIGITS, Range
from hexplan.workload import Workload

COMPUTE_EFFICIENCY = 0.5
"""eta_F: share of peak compute reached; assumed until calibrated."""
BANDWIDTH_EFFICIENCY = 0.7
"""eta_W: share of peak memory bandwidth reached; assumed until calibrated."""
MAX_BATCH = 256
"""Requests that a stage decodes at once, at most."""
MICRO: int = 10**RATE_DIGITS
"""Rates are whole numbers of 1 / MICRO tokens/s."""


@dataclass(frozen=True, slots=True)
class StageSpeed:
    """A stage's rate in 1e-6 tokens/s, and what it rests on."""

    micro_tokens_per_s: int
    origin: str


def to_micro(tokens_per_s: Decimal | float) -> int:
    """Round a rate down to whole 1e-6 tokens/s."""
    return int(tokens_per_s * MICRO)


def find_profile(cluster: Cluster, devices: Sequence[DeviceType]) -> Profile | None:
    """Return the measured profile of this group of devices, if there is one."""
    names = {device.name for device in devices}
    matches = (p for p in cluster.profiles if {p.device} == names and p.tp == len(devices))
    return next(matches, None)


def stage_speed(
    cluster: Cluster,
    spec: tuple[Model, Workload],
    layers: Range,
    group: Sequence[tuple[DeviceType, ShardSizes]],
    link: tuple[Interconnect | None, int],
) -> StageSpeed:
    """Return a stage's speed: measured where a profile speaks, else by a roofline.

    Parameters
    ----------
    spec
        The model and the workload.
    group
        Each device of the stage with its shard's sizes.
    link
        The host's interconnect, and the stage's KV room in tokens.
    """
    num_layers = layers[1] - layers[0]
    profile = find_profile(cluster, [device for device, _ in group])
    if profile is not None:
        if num_layers > len(profile.tokens_per_s):
            return StageSpeed(0, f"measured for at most {len(profile.tokens_per_s)} layers")
        return StageSpeed(to_micro(profile.tokens_per_s[num_layers - 1]), "measured profile")
    return StageSpeed(to_micro(_Roofline(*spec, group, *link).tokens_per_s(layers)), "datasheet")


@dataclass(frozen=True, slots=True)
class _Roofline:
    model: Model
    workload: Workload
    group: Sequence[tuple[DeviceType, ShardSizes]]
    interconnect: Interconnect | None
    kv_tokens: int

    def tokens_per_s(self, layers: Range) -> float:
        num_layers = layers[1] - layers[0]
        prompt, output = self.workload.prompt_tokens.mean, self.workload.output_tokens.mean
        batch = min(MAX_BATCH, max(1, self._share(num_layers)))
        hidden_bytes = self.model.hidden * self.model.dtype_bytes
        prefill = max(self._prefill(d, s) for d, s in self.group)
        decode = max(self._decode(d, s, batch) for d, s in self.group)
        layer_s = prefill + 2 * self._reduce(prompt * hidden_bytes)
        layer_s += output / batch * (decode + 2 * self._reduce(batch * hidden_bytes))
        head_s = 0.0
        if layers[1] == self.model.layers:
            head_s = output / batch * max(self._head(d, s, batch) for d, s in self.group)
        return (prompt + output) / (num_layers * layer_s + head_s)

    def _share(self, num_layers: int) -> int:
        return self.kv_tokens * num_layers // (self.workload.mean_tokens * self.model.layers)

    def _prefill(self, device: DeviceType, sizes: ShardSizes) -> float:
        prompt = self.workload.prompt_tokens.mean
        parameters = layer_parameters(self.model, sizes)
        query_width = sizes.kv_heads * self.model.group * self.model.head_dim
        flops = 2 * parameters * prompt + 2 * query_width * prompt**2
        return _roof(device, flops, parameters * self.model.dtype_bytes)

    def _decode(self, device: DeviceType, sizes: ShardSizes, batch: int) -> float:
        context = self.workload.prompt_tokens.mean + self.workload.output_tokens.mean / 2
        parameters = layer_parameters(self.model, sizes)
        query_width = sizes.kv_heads * self.model.group * self.model.head_dim
        flops = batch * (2 * parameters + 4 * query_width * context)
        kv = batch * context * kv_bytes_per_token(self.model, sizes, (0, 1))
        return _roof(device, flops, parameters * self.model.dtype_bytes + kv)

    def _head(self, device: DeviceType, sizes: ShardSizes, batch: int) -> float:
        parameters = sizes.vocab * self.model.hidden
        return _roof(device, 2 * batch * parameters, parameters * self.model.dtype_bytes)

    def _reduce(self, message_bytes: int) -> float:
        num_devices = len(self.group)
        if num_devices == 1 or self.interconnect is None:
            return 0.0
        step = message_bytes / (num_devices * self.interconnect.bandwidth_bytes_per_s)
        return 2 * (num_devices - 1) * (float(self.interconnect.latency_s) + step)


def _roof(device: DeviceType, flops: float, moved_bytes: float) -> float:
    compute_s = flops / (COMPUTE_EFFICIENCY * device.compute_flops_per_s)
    memory_s = moved_bytes / (BANDWIDTH_EFFICIENCY * device.memory_bandwidth_bytes_per_s)
    return max(compute_s, memory_s)
