"""The seconds of a mean request on a stage, by the datasheet (docs/formulation.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from hexplan.check.stage.sizes import kv_token_bytes, layer_of, length, token_numbers
from hexplan.check.text import exact
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.plan import Shard
from hexplan.workload import Workload

MAX_BATCH = 256

Pair = tuple[Shard, DeviceType]


@dataclass(frozen=True, slots=True)
class Request:
    """A mean request, and how a stage meets it."""

    model: Model
    workload: Workload
    step_tokens: int
    kv_tokens: int
    num_layers: int

    @property
    def batch(self) -> int:
        """Return `beta`: the requests that the KV room admits, times the share of layers held."""
        held = self.kv_tokens * self.num_layers
        return min(MAX_BATCH, max(1, held // (self.workload.mean_tokens * self.model.layers)))

    @property
    def num_steps(self) -> Fraction:
        """Return `m + D / beta`: the steps of its prompt, and its share of decode steps."""
        return self.chunks + self.decode_steps

    @property
    def decode_steps(self) -> Fraction:
        """Return `D / beta`, a request's share of the steps of decodes."""
        return Fraction(self.workload.output_tokens.mean, self.batch)

    @property
    def row_bytes(self) -> int:
        """Return the bytes of one token's activation."""
        return self.model.hidden * self.model.dtype_bytes

    @property
    def chunks(self) -> int:
        """Return `m`, the pieces of the prompt."""
        return ceil(Fraction(self.workload.prompt_tokens.mean, self.step_tokens))


def layer_seconds(
    request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None
) -> Fraction:
    """Return `layer_s`."""
    return sum(phase_seconds(request, pairs, interconnect), Fraction())


def phase_seconds(
    request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None
) -> tuple[Fraction, Fraction]:
    """Return the two parts of `layer_s`: that of the prompt, and that of the decodes."""
    prefill = prefill_seconds(request, pairs, interconnect)
    return prefill, request.decode_steps * decode_seconds(request, pairs, interconnect)


def prefill_seconds(
    request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None
) -> Fraction:
    """Return what one layer takes for the prompt."""
    message = request.workload.prompt_tokens.mean * request.row_bytes
    reduce = _reduce(len(pairs), interconnect, message, request.chunks)
    return max(_prefill(request, pair) for pair in pairs) + 2 * reduce


def decode_seconds(
    request: Request, pairs: Sequence[Pair], interconnect: Interconnect | None
) -> Fraction:
    """Return what one layer takes for a step of decodes."""
    reduce = _reduce(len(pairs), interconnect, request.batch * request.row_bytes, 1)
    return max(_decode(request, pair) for pair in pairs) + 2 * reduce


def mode_seconds(
    model: Model, pairs: Sequence[Pair], interconnect: Interconnect | None, tokens: int
) -> Fraction:
    """Return what one layer takes for a step of so many tokens, without attention."""
    message = tokens * model.hidden * model.dtype_bytes
    slowest = max(work(model, pair, tokens) + weights(model, pair, tokens) for pair in pairs)
    return slowest + 2 * _reduce(len(pairs), interconnect, message, 1)


def head_seconds(request: Request, pairs: Sequence[Pair]) -> Fraction:
    """Return `head_s` of a last stage."""
    beta, model = request.batch, request.model

    def step(pair: Pair) -> Fraction:
        table = length(pair[0].vocab) * model.hidden
        work = 2 * beta * table / _flops(pair[1], pair[1].compute_flops_per_s)
        return work + table * model.dtype_bytes / _bandwidth(pair[1])

    return Fraction(request.workload.output_tokens.mean, beta) * max(map(step, pairs))


def _prefill(request: Request, pair: Pair) -> Fraction:
    prompt, chunks = request.workload.prompt_tokens.mean, request.chunks
    reading = chunks * weights(request.model, pair, ceil(Fraction(prompt, chunks)))
    return work(request.model, pair, prompt) + prompt_attention(request, pair) + reading


def _decode(request: Request, pair: Pair) -> Fraction:
    model, beta = request.model, request.batch
    return work(model, pair, beta) + decode_attention(request, pair) + weights(model, pair, beta)


def prompt_attention(request: Request, pair: Pair) -> Fraction:
    """Return `P^2 / 2 position`."""
    return Fraction(request.workload.prompt_tokens.mean**2, 2) * _position(request.model, pair)


def decode_attention(request: Request, pair: Pair) -> Fraction:
    """Return `beta (P + D/2) max(position, read)`."""
    model, (shard, kind) = request.model, pair
    context = request.workload.prompt_tokens.mean + Fraction(request.workload.output_tokens.mean, 2)
    read = kv_token_bytes(model, (0, 1), shard) / _bandwidth(kind)
    return request.batch * context * max(_position(model, pair), read)


def work(model: Model, pair: Pair, tokens: int) -> Fraction:
    """Return the seconds of the matrix work of so many tokens."""
    shard, kind = pair
    peak = kind.compute_flops_per_s
    if model.weights is not None and model.weights.name == "fp8" and kind.fp8_flops_per_s:
        peak = kind.fp8_flops_per_s
    return 2 * token_numbers(model, shard) * tokens / _flops(kind, peak)


def weights(model: Model, pair: Pair, tokens: int) -> Fraction:
    """Return the seconds of reading what so many tokens touch of a layer."""
    shard, kind = pair
    layer = layer_of(model, shard)
    touched = Fraction(1)
    if model.experts is not None:
        touched -= (1 - Fraction(model.experts.active, model.experts.total)) ** tokens
    networks = touched * layer.num_networks * layer.network
    return (layer.attention + layer.rest + networks) / _bandwidth(kind)


def _position(model: Model, pair: Pair) -> Fraction:
    shard, kind = pair
    queries = length(shard.kv_heads) * model.group * model.head_dim
    return 4 * queries / _flops(kind, kind.compute_flops_per_s)


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
