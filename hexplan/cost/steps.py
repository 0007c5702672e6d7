"""How long a stage takes for one step: the tokens that it puts through its layers at once.

`T(k)` of hexplan.cost.speed is a mean over a workload; a step time is what a simulator needs. It
comes from the profile's table of one layer where there is one, else from the same roofline.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from hexplan.cluster import Cluster, DeviceType, Interconnect, StepPoint
from hexplan.cost.memory import ShardSizes, kv_bytes_per_token, layer_parameters
from hexplan.cost.speed import BANDWIDTH_EFFICIENCY, COMPUTE_EFFICIENCY, find_profile
from hexplan.model import Model


class StepTimes(Protocol):
    """The time of one step, in seconds."""

    @property
    def origin(self) -> str:
        """What the times rest on."""

    @property
    def measured_tokens(self) -> tuple[int, int] | None:
        """The most prompt and decode tokens in a step that were measured, if any were."""

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        """Return the seconds of one layer.

        Parameters
        ----------
        prompt
            Prompt tokens in the step.
        reach
            Sum of the positions that those tokens attend to: `n (o + n / 2)` for n tokens from
            position o on.
        decode
            Tokens in the step that are decoded, one a request.
        context
            Sum of the contexts of those requests, in tokens.
        """

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens, where it is not in a layer."""


def stage_steps(
    cluster: Cluster,
    model: Model,
    group: Sequence[tuple[DeviceType, ShardSizes]],
    interconnect: Interconnect | None,
) -> StepTimes:
    """Return the step times of a stage: measured where a profile has them, else by a roofline."""
    profile = find_profile(cluster, [device for device, _ in group])
    if profile is not None and profile.prefill_layer_s:
        return MeasuredSteps(_curve(profile.prefill_layer_s), _curve(profile.decode_layer_s))
    return RooflineSteps(model, tuple(group), interconnect)


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

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        """Return the seconds of one layer: those of the prompts plus those of the decodes."""
        if prompt < len(self._prefill_s) and decode < len(self._decode_s):
            return self._prefill_s[prompt] + self._decode_s[decode]
        decode_s = self._decode_s[decode] if decode < len(self._decode_s) else None
        return self._prefill.at(prompt) * bool(prompt) + (
            self._decode.at(decode) if decode_s is None else decode_s
        )

    def head_s(self, rows: int) -> float:
        """Return nothing: the head was not measured apart."""
        return 0.0


@dataclass(frozen=True, slots=True)
class _Shard:
    """One device's part of a layer, as seconds per unit of work."""

    weights_s: float
    """Reading its weights once."""
    token_s: float
    """Matrix work of one token."""
    reach_s: float
    """Attention work of one token with one position."""
    kv_s: float
    """Reading the keys and values of one position."""
    head_weights_s: float
    head_token_s: float


class RooflineSteps:
    """Datasheet times: the terms of docs/formulation.md 4, for any step.

    Prompts and decodes of one step add up, as in `T(k)`; so the weights are read once for each.
    """

    origin = "datasheet"
    measured_tokens: tuple[int, int] | None = None

    def __init__(
        self,
        model: Model,
        group: Sequence[tuple[DeviceType, ShardSizes]],
        interconnect: Interconnect | None,
    ) -> None:
        self._shards = tuple(_shard(model, device, sizes) for device, sizes in group)
        num_devices = len(group)
        self._reduce_s, self._reduce_token_s = 0.0, 0.0
        if num_devices > 1 and interconnect is not None:
            steps = 2 * (num_devices - 1)
            token_bytes = model.hidden * model.dtype_bytes
            rate = num_devices * interconnect.bandwidth_bytes_per_s
            self._reduce_s = 2 * steps * float(interconnect.latency_s)
            self._reduce_token_s = 2 * steps * token_bytes / rate

    def layer_s(self, prompt: int, reach: float, decode: int, context: int) -> float:
        """Return the seconds of one layer: those of the prompts plus those of the decodes."""
        total = 0.0
        if prompt:
            total += self._reduce_s + prompt * self._reduce_token_s
            total += max(
                max(prompt * s.token_s + reach * s.reach_s, s.weights_s) for s in self._shards
            )
        if decode:
            total += self._reduce_s + decode * self._reduce_token_s
            total += max(
                max(decode * s.token_s + context * s.reach_s, s.weights_s + context * s.kv_s)
                for s in self._shards
            )
        return total

    def head_s(self, rows: int) -> float:
        """Return the seconds of the output head for `rows` tokens."""
        if not rows:
            return 0.0
        return max(max(rows * s.head_token_s, s.head_weights_s) for s in self._shards)


def _shard(model: Model, device: DeviceType, sizes: ShardSizes) -> _Shard:
    flops_per_s = COMPUTE_EFFICIENCY * device.compute_flops_per_s
    bytes_per_s = BANDWIDTH_EFFICIENCY * device.memory_bandwidth_bytes_per_s
    parameters, head = layer_parameters(model, sizes), sizes.vocab * model.hidden
    query_width = sizes.kv_heads * model.group * model.head_dim
    return _Shard(
        weights_s=parameters * model.dtype_bytes / bytes_per_s,
        token_s=2 * parameters / flops_per_s,
        reach_s=4 * query_width / flops_per_s,
        kv_s=kv_bytes_per_token(model, sizes, (0, 1)) / bytes_per_s,
        head_weights_s=head * model.dtype_bytes / bytes_per_s,
        head_token_s=2 * head / flops_per_s,
    )
