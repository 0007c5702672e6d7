"""The seconds of a mean request on a stage, by the datasheet (docs/formulation.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

from hexplan.check.exact import exact
from hexplan.check.stage.sizes import (
    axes,
    expert_numbers,
    head_bytes,
    kv_token_bytes,
    layer_of,
    length,
    token_numbers,
)
from hexplan.constants import MAX_BATCH
from hexplan.device import DeviceType, KernelEfficiency
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
    step_s: Fraction
    """What a step takes besides its layers; 0 unless its times rest on the datasheet."""
    token_s: Fraction
    """What an output token takes besides the head; likewise."""

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


def distinct(shards: Sequence[ShardOnDevice]) -> list[ShardOnDevice]:
    """Return one of each set of equal shards on devices of one type."""
    alike = {(held.device_type.name, *map(length, axes(held.shard))): held for held in shards}
    return list(alike.values())


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
    reduce = all_reduce(len(shards), interconnect, message, request.chunks)
    return max(_prefill(request, held) for held in distinct(shards)) + 2 * reduce


def decode_seconds(
    request: StageRequest, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None
) -> Fraction:
    """Return the seconds of one layer for a step of decodes."""
    reduce = all_reduce(len(shards), interconnect, request.batch * request.row_bytes, 1)
    return max(_decode(request, held) for held in distinct(shards)) + 2 * reduce


def tensor_seconds(
    model: Model, shards: Sequence[ShardOnDevice], interconnect: Interconnect | None, tokens: int
) -> Fraction:
    """Return the seconds of one layer for a tensor-parallel step, without attention."""
    message = tokens * model.hidden * model.dtype_bytes
    slowest = max(matrix_seconds(model, held, tokens) for held in distinct(shards))
    return slowest + 2 * all_reduce(len(shards), interconnect, message, 1)


def head_seconds(request: StageRequest, shards: Sequence[ShardOnDevice]) -> Fraction:
    """Return `head_s` of a last stage."""
    beta, model = request.batch, request.model

    def step(held: ShardOnDevice) -> Fraction:
        table, device = length(held.shard.vocab) * model.hidden, held.device_type
        work = 2 * beta * table / (exact(device.efficiency.compute) * _peak_16(model, device))
        return both(device.efficiency, work, head_bytes(model, held.shard) / _bandwidth(device))

    each = max(map(step, distinct(shards))) + beta * request.token_s
    return Fraction(request.workload.output_tokens.mean, beta) * each


def _prefill(request: StageRequest, held: ShardOnDevice) -> Fraction:
    prompt, chunks = request.workload.prompt_tokens.mean, request.chunks
    matrices = matrix_seconds(request.model, held, prompt, chunks)
    return matrices + prompt_attention(request, held)


def _decode(request: StageRequest, held: ShardOnDevice) -> Fraction:
    matrices = matrix_seconds(request.model, held, request.batch)
    return matrices + decode_attention(request, held)


def prompt_attention(request: StageRequest, held: ShardOnDevice) -> Fraction:
    """Return `max(m c_A, P^2 / 2 position)`."""
    least = request.chunks * exact(held.device_type.efficiency.attention_start_s)
    squares = Fraction(request.workload.prompt_tokens.mean**2, 2)
    return max(least, squares * _position(request.model, held))


def decode_attention(request: StageRequest, held: ShardOnDevice) -> Fraction:
    """Return `max(c_A, beta (P + D/2) max(position, read))`."""
    model, kind = request.model, held.device_type
    context = request.workload.prompt_tokens.mean + Fraction(request.workload.output_tokens.mean, 2)
    read = kv_token_bytes(model, (0, 1), held.shard) / _bandwidth(kind)
    seconds = request.batch * context * max(_position(model, held), read)
    return max(exact(kind.efficiency.attention_start_s), seconds)


def matrix_seconds(
    model: Model, held: ShardOnDevice, tokens: int | Fraction, steps: int | Fraction = 1
) -> Fraction:
    """Return the seconds of a layer's matrices for some tokens in so many equal steps."""
    shard, device, layer = held.shard, held.device_type, layer_of(model, held.shard)
    efficiency, operands = device.efficiency, _operands(model)
    rates = {
        "fp8": device.fp8_flops_per_s,
        "int8": device.int8_ops_per_s,
        "fp4": device.fp4_flops_per_s,
    }
    peak = (rates[operands] if operands else None) or _peak_16(model, device)
    dense: KernelEfficiency = efficiency
    networks = efficiency.experts
    if operands == "fp8":
        dense = efficiency.fp8 or efficiency
        networks = efficiency.fp8_experts
    whole = layer.attention + layer.rest + (0 if model.experts else layer.network)
    parts: list[tuple[KernelEfficiency, int, Fraction]]
    parts = [(dense, token_numbers(model, shard), Fraction(whole))]
    if model.experts is not None:
        untouched = (1 - Fraction(model.experts.active, model.experts.total)) ** ceil(
            Fraction(tokens) / steps
        )
        kind = networks or dense.model_copy(update={"exposed": Decimal(1)})
        read = (1 - untouched) * layer.num_networks * layer.network
        parts.append((kind, expert_numbers(model, shard), read))
    seconds = Fraction(0)
    for kind, numbers, num_bytes in parts:
        work = 2 * numbers * tokens / (exact(kind.compute) * peak)
        read = steps * num_bytes / (exact(kind.bandwidth) * device.memory_bandwidth_bytes_per_s)
        seconds += both(kind, work, read) + steps * exact(kind.start_s)
    return seconds


def both(kind: KernelEfficiency, work: Fraction, read: Fraction) -> Fraction:
    """Return `max(work, read) + xi min(work, read)`."""
    return max(work, read) + exact(kind.exposed) * min(work, read)


def _position(model: Model, held: ShardOnDevice) -> Fraction:
    shard, kind = held.shard, held.device_type
    queries = length(shard.kv_heads) * model.group * model.head_dim
    share = kind.efficiency.attention or kind.efficiency.compute
    return 4 * queries / (exact(share) * _peak_16(model, kind))


def _operands(model: Model) -> str | None:
    """Return the type in which the layers' matrices are multiplied; None means the model's."""
    form = model.weights
    if form is None:
        return None
    return "fp8" if form.name == "fp8" else form.operands


def _peak_16(model: Model, kind: DeviceType) -> int:
    """Return `peak_16`: in 16 bits, or in the 32 of a model in float32 where that is known."""
    if model.dtype == "float32" and kind.float32_flops_per_s is not None:
        return kind.float32_flops_per_s
    return kind.compute_flops_per_s


def start(n: int, interconnect: Interconnect) -> Fraction:
    """Return the start-up of an all-reduce; a ring over joined hosts starts in every step."""
    alpha = exact(interconnect.latency_s)
    if interconnect.crosses_hosts:
        return 2 * (n - 1) * alpha
    return alpha + (n - 2) * exact(interconnect.device_latency_s)


def seconds_per_byte(n: int, interconnect: Interconnect) -> Fraction:
    """Return `(1 + gamma (n - 2)) / B`."""
    crowd = 1 + exact(interconnect.contention) * (n - 2)
    return crowd / interconnect.bandwidth_bytes_per_s


def all_reduce(
    n: int, interconnect: Interconnect | None, message_bytes: int, messages: int, crowd: int = 0
) -> Fraction:
    """Return the seconds of some all-reduces, which carry so many bytes together.

    Parameters
    ----------
    crowd
        Devices on the interconnect, if groups of n reduce side by side.
    """
    if n == 1 or interconnect is None:
        return Fraction(0)
    byte = Fraction(2 * (n - 1), n) * seconds_per_byte(crowd or n, interconnect)
    return messages * start(n, interconnect) + message_bytes * byte


def _bandwidth(kind: DeviceType) -> Fraction:
    return exact(kind.efficiency.bandwidth) * kind.memory_bandwidth_bytes_per_s


def position_seconds(model: Model, held: ShardOnDevice) -> tuple[Fraction, Fraction]:
    """Return the seconds of attention to one position: of a prompt's token, and of a decode."""
    position = _position(model, held)
    read = kv_token_bytes(model, (0, 1), held.shard) / _bandwidth(held.device_type)
    return position, max(position, read)


def head_step_seconds(
    model: Model, held: ShardOnDevice, rows: int | Fraction, reads: int | Fraction
) -> Fraction:
    """Return the seconds of a device's part of the output head, read so often for some rows."""
    table, device = length(held.shard.vocab) * model.hidden, held.device_type
    work = 2 * rows * table / (exact(device.efficiency.compute) * _peak_16(model, device))
    return both(device.efficiency, work, reads * head_bytes(model, held.shard) / _bandwidth(device))
