"""The seconds of a mean request on a stage, by the datasheet (docs/formulation.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from hexplan.check.exact import exact
from hexplan.check.stage.sizes import (
    head_bytes,
    kv_token_bytes,
    layer_of,
    length,
    token_numbers,
)
from hexplan.constants import MAX_BATCH
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.plan import Shard
from hexplan.workload import Workload


@dataclass(frozen=True, slots=True)
class ShardOnDevice:
    """A shard, and the type of the device that holds it."""

    shard: Shard
    device_type: DeviceType


@dataclass(frozen=True, slots=True)
class StageRequest:
    """A mean request as a stage meets it."""

    model: Model
    workload: Workload
    step_tokens: int
    """The most prompt tokens in a step."""
    kv_tokens: int
    """Tokens of context for which the stage has room."""
    num_layers: int
    """Layers of the stage."""

    @property
    def batch(self) -> int:
        """Return `beta`: the requests that fit the KV cache, times the share of layers held."""
        token_layers = self.kv_tokens * self.num_layers
        return min(
            MAX_BATCH, max(1, token_layers // (self.workload.mean_tokens * self.model.layers))
        )

    @property
    def num_steps(self) -> Fraction:
        """Return `m + D / beta`: the steps of its prompt, plus its share of decode steps."""
        return self.chunks + self.decode_steps

    @property
    def decode_steps(self) -> Fraction:
        """Return `D / beta`: its share of decode steps."""
        return Fraction(self.workload.output_tokens.mean, self.batch)

    @property
    def row_bytes(self) -> int:
        """Return the bytes of one activation."""
        return self.model.hidden * self.model.dtype_bytes

    @property
    def chunks(self) -> int:
        """Return `m`: the chunks of its prompt."""
        return ceil(Fraction(self.workload.prompt_tokens.mean, self.step_tokens))


def layer_seconds(
    request: StageRequest, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None
) -> Fraction:
    """Return `layer_s`."""
    return sum(phase_seconds(request, shards, interconnect), Fraction())


def phase_seconds(
    request: StageRequest, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None
) -> tuple[Fraction, Fraction]:
    """Return the two parts of `layer_s`: the prompt's and the decodes'."""
    prefill = prefill_seconds(request, shards, interconnect)
    return prefill, request.decode_steps * decode_seconds(request, shards, interconnect)


def prefill_seconds(
    request: StageRequest, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None
) -> Fraction:
    """Return the seconds of one layer for the prompt."""
    message = request.workload.prompt_tokens.mean * request.row_bytes
    reduce = _reduce(len(shards), interconnect, message, request.chunks)
    return max(_prefill(request, held) for held in shards) + 2 * reduce


def decode_seconds(
    request: StageRequest, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None
) -> Fraction:
    """Return the seconds of one layer for a step of decodes."""
    reduce = _reduce(len(shards), interconnect, request.batch * request.row_bytes, 1)
    return max(_decode(request, held) for held in shards) + 2 * reduce


def tensor_seconds(
    model: Model, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None, tokens: int
) -> Fraction:
    """Return the seconds of one layer for a tensor-parallel step, without attention."""
    message = tokens * model.hidden * model.dtype_bytes
    slowest = max(work(model, held, tokens) + weights(model, held, tokens) for held in shards)
    return slowest + 2 * _reduce(len(shards), interconnect, message, 1)


def head_seconds(request: StageRequest, shards: Sequence[ShardOnDevice]) -> Fraction:
    """Return `head_s` of a last stage."""
    beta, model = request.batch, request.model

    def step(held: ShardOnDevice) -> Fraction:
        table, device = length(held.shard.vocab) * model.hidden, held.device_type
        work = 2 * beta * table / _flops(device, _peak_16(model, device))
        return work + head_bytes(model, held.shard) / _bandwidth(device)

    return Fraction(request.workload.output_tokens.mean, beta) * max(map(step, shards))


def _prefill(request: StageRequest, held: ShardOnDevice) -> Fraction:
    prompt, chunks = request.workload.prompt_tokens.mean, request.chunks
    reading = chunks * weights(request.model, held, ceil(Fraction(prompt, chunks)))
    return work(request.model, held, prompt) + prompt_attention(request, held) + reading


def _decode(request: StageRequest, held: ShardOnDevice) -> Fraction:
    model, beta = request.model, request.batch
    return work(model, held, beta) + decode_attention(request, held) + weights(model, held, beta)


def prompt_attention(request: StageRequest, held: ShardOnDevice) -> Fraction:
    """Return `P^2 / 2 position`."""
    return Fraction(request.workload.prompt_tokens.mean**2, 2) * _position(request.model, held)


def decode_attention(request: StageRequest, held: ShardOnDevice) -> Fraction:
    """Return `beta (P + D/2) max(position, read)`."""
    model = request.model
    context = request.workload.prompt_tokens.mean + Fraction(request.workload.output_tokens.mean, 2)
    read = kv_token_bytes(model, (0, 1), held.shard) / _bandwidth(held.device_type)
    return request.batch * context * max(_position(model, held), read)


def work(model: Model, held: ShardOnDevice, tokens: int) -> Fraction:
    """Return the seconds of matrix work for so many tokens."""
    shard, kind = held.shard, held.device_type
    form, peak = model.weights, None
    if form is not None and form.name == "fp8":
        peak = kind.fp8_flops_per_s
    elif form is not None and form.operands is not None:
        rates = (kind.fp8_flops_per_s, kind.int8_ops_per_s, kind.fp4_flops_per_s)
        peak = rates[("fp8", "int8", "fp4").index(form.operands)]
    if not peak:
        peak = _peak_16(model, kind)
    return 2 * token_numbers(model, shard) * tokens / _flops(kind, peak)


def weights(model: Model, held: ShardOnDevice, tokens: int) -> Fraction:
    """Return the seconds of reading the weights of a layer that so many tokens use."""
    shard, kind = held.shard, held.device_type
    layer = layer_of(model, shard)
    touched = Fraction(1)
    if model.experts is not None:
        touched -= (1 - Fraction(model.experts.active, model.experts.total)) ** tokens
    networks = touched * layer.num_networks * layer.network
    return (layer.attention + layer.rest + networks) / _bandwidth(kind)


def _position(model: Model, held: ShardOnDevice) -> Fraction:
    shard, kind = held.shard, held.device_type
    queries = length(shard.kv_heads) * model.group * model.head_dim
    return 4 * queries / _flops(kind, _peak_16(model, kind))


def _peak_16(model: Model, kind: DeviceType) -> int:
    """Return `peak_16`: in 16 bits, or in the 32 of a model in float32 where that is known."""
    if model.dtype == "float32" and kind.float32_flops_per_s is not None:
        return kind.float32_flops_per_s
    return kind.compute_flops_per_s


def _reduce(
    n: int, interconnect: Interconnect | None, message_bytes: int, messages: int
) -> Fraction:
    """Return the seconds of ring all-reduces, `2 (n - 1) (count alpha + bytes / (n B))`."""
    if n == 1 or interconnect is None:
        return Fraction(0)
    part = Fraction(message_bytes, n * interconnect.bandwidth_bytes_per_s)
    return 2 * (n - 1) * (messages * exact(interconnect.latency_s) + part)


def _flops(kind: DeviceType, peak: int) -> Fraction:
    return exact(kind.efficiency.compute) * peak


def _bandwidth(kind: DeviceType) -> Fraction:
    return exact(kind.efficiency.bandwidth) * kind.memory_bandwidth_bytes_per_s
