"""Stages with keys and values in host memory: their room, and the times of their steps.

A layer whose keys and values are there takes as long as the longer of computing and fetching, and
besides what it takes to foresee which of them matter (docs/formulation.md 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from hexplan.constants import MAX_BATCH, PAGE_TOKENS
from hexplan.cost.memory import kv_bytes_per_token, kv_room_tokens, memory_needs, step_tokens
from hexplan.cost.stage_shape import StageShape
from hexplan.cost.step_times import DerivedStepTimes, StepTimes
from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.spec import Spec
from hexplan.techniques import KvOffload
from hexplan.workload import Workload

_FIRST: Final = 2
"""The first layers of a model attend to everything: what matters to them is spread widely."""
_BUFFERS: Final = 6
"""Copies of what a step fetches: of two layers, and of one beside the new tokens, each padded to
twice as many tokens at most."""
_SCORED: Final = Fraction(2, PAGE_TOKENS)
"""Copies of bounds that are scored, likewise, in tokens of a layer for each token."""
_PROMPT_COPIES: Final = 2
"""Copies of what the prompt of a request fetches in one layer."""
_ROUNDED: Final = (_BUFFERS + 2) * PAGE_TOKENS
"""Tokens by which what a request fetches is rounded up to pages, in all copies."""


@dataclass(frozen=True, slots=True)
class HostLayers:
    """Which of a stage's layers have their keys and values in host memory."""

    layers: Range
    """All layers of the stage."""
    from_layer: int

    @property
    def resident(self) -> int:
        """Layers whose keys and values are on the devices."""
        return self.from_layer - self.layers[0]

    @property
    def on_host(self) -> int:
        """The other layers."""
        return self.layers[1] - self.from_layer

    def device_token_bytes(self, layer_bytes: int, fraction: Decimal) -> int:
        """Return what a token takes on a device: keys and values, bounds and room to fetch.

        Parameters
        ----------
        layer_bytes
            Its keys and values in one layer there.
        """
        layers = self.resident + Fraction(self.on_host, PAGE_TOKENS)
        return math.ceil(layer_bytes * (layers + _BUFFERS * Fraction(fraction) + _SCORED))

    def device_fixed_bytes(self, layer_bytes: int, workload: Workload) -> int:
        """Return what is needed on a device whatever it holds.

        The last page of each request is not full, and a prompt fetches everything.
        """
        tokens = _PROMPT_COPIES * workload.max_tokens + MAX_BATCH * (self.on_host + _ROUNDED)
        return layer_bytes * tokens


@dataclass(frozen=True, slots=True)
class FetchTimes:
    """What a stage takes for keys and values in host memory."""

    fraction: float
    """Share of the earlier tokens that a decode fetches."""
    host_share: float
    """Share of the layers whose keys and values are there."""
    token_s: float
    """Fetching one token's keys and values of a layer, on the slowest device."""
    bounds_s: float
    """Reading the bounds of one token's keys in a layer, likewise."""
    queries_share: float
    """Share of a layer's matrices that tells queries in advance; 0 if all is fetched."""

    @staticmethod
    def of(model: Model, shape: StageShape) -> FetchTimes | None:
        """Return them for a stage with keys and values in host memory; None for others."""
        how = shape.sharing.kv_offload
        if how is None:
            return None
        on_host = HostLayers(shape.layers, how.from_layer).on_host
        chooses = how.fraction < 1
        sizes = [kv_bytes_per_token(model, shard.sizes, (0, 1)) for shard in shape.group]
        reads_s = [
            size
            / PAGE_TOKENS
            / (float(shard.device.efficiency.bandwidth) * shard.device.memory_bandwidth_bytes_per_s)
            for size, shard in zip(sizes, shape.group, strict=True)
        ]
        return FetchTimes(
            fraction=float(how.fraction),
            host_share=on_host / shape.num_layers,
            token_s=max(sizes) / how.link_bytes_per_s,
            bounds_s=chooses * max(reads_s),
            queries_share=chooses * _queries_share(shape.model_of(model)),
        )

    def fetch_s(self, context: float) -> float:
        """Return the seconds in which decodes fetch what they need in a layer."""
        return self.fraction * context * self.token_s

    def foresee_s(self, plain: StepTimes, decode: int, context: float) -> float:
        """Return the seconds in which a layer finds what the next one needs."""
        if not decode:
            return 0.0
        queries_s = self.queries_share * plain.layer_s(0, 0.0, decode, 0.0)
        return queries_s + context * self.bounds_s


class OffloadedStepTimes(DerivedStepTimes):
    """Times of steps that fetch keys and values from host memory in most layers."""

    def __init__(self, plain: StepTimes, fetches: FetchTimes) -> None:
        super().__init__(plain)
        self._fetches = fetches

    def layer_s(self, prompt: int, reach: float, decode: int, context: float) -> float:
        """Return the seconds of a layer in the mean over those of the stage.

        Prompts fetch all that came before them; what a step has of several prompts that came in
        part before counts as that of one.
        """
        fetches, plain_s = self._fetches, self._plain.layer_s(prompt, reach, decode, context)
        offloaded_s = self._plain.layer_s(prompt, reach, decode, fetches.fraction * context)
        offloaded_s = max(offloaded_s, fetches.fetch_s(context))
        offloaded_s += fetches.foresee_s(self._plain, decode, context)
        if prompt:
            offloaded_s += max(0.0, reach / prompt - prompt / 2) * fetches.token_s
        return plain_s + fetches.host_share * (offloaded_s - plain_s)


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What one stage has of its host's memory for keys and values, and how it gets at them."""

    num_bytes: int
    link_bytes_per_s: int
    fraction: Decimal
    """Share of a request's earlier tokens that a decode fetches."""
    share: Fraction = Fraction(1)
    """How much of the room is used that there would be besides that without."""


def first_on_host(layers: Range) -> int:
    """Return the first layer of a stage that may have its keys and values in host memory."""
    return max(layers[0] + 1, _FIRST)


def roomiest_kv_offload(spec: Spec, shape: StageShape, host: HostMemory) -> KvOffload | None:
    """Return how a stage would use host memory for more tokens, or None if it cannot.

    It needs layers behind the model's first ones, and one of its own before them.
    """
    from_layer = first_on_host(shape.layers)
    sharing = shape.sharing
    if from_layer >= shape.layers[1] or not sharing.is_tensor or sharing.interleave is not None:
        return None
    needs = memory_needs(spec, shape)
    held = HostLayers(shape.layers, from_layer)
    rooms, all_bytes = [], 0
    for need, shard in zip(needs, shape.group, strict=True):
        layer_bytes = kv_bytes_per_token(spec.model, shard.sizes, (0, 1))
        left = need.budget_bytes - need.fixed_bytes
        left -= held.device_fixed_bytes(layer_bytes, spec.workload)
        rooms.append(left // held.device_token_bytes(layer_bytes, host.fraction))
        all_bytes += held.on_host * layer_bytes
    kv_tokens = min(*rooms, host.num_bytes // all_bytes)
    plain_tokens = min(need.kv_tokens for need in needs)
    if kv_tokens <= plain_tokens:
        return None
    return KvOffload(
        from_layer=from_layer,
        fraction=host.fraction,
        link_bytes_per_s=host.link_bytes_per_s,
        kv_tokens=plain_tokens + int((kv_tokens - plain_tokens) * host.share),
    )


def find_kv_offload(
    spec: Spec, shape: StageShape, plain: StepTimes, host: HostMemory
) -> KvOffload | None:
    """Return how a stage would use host memory, or None if it cannot, or no more comes out of it.

    More comes out if a mean request takes less of the stage's time once as many run at once as then
    have room.

    Parameters
    ----------
    plain
        The stage's step times without.
    """
    how = roomiest_kv_offload(spec, shape, host)
    if how is None:
        return None
    sharing = replace(shape.sharing, kv_offload=how)
    fetches = FetchTimes.of(spec.model, replace(shape, sharing=sharing))
    assert fetches is not None
    offloaded = OffloadedStepTimes(plain, fetches)
    before_s = _decodes_s(spec, shape, plain, kv_room_tokens(spec, shape))
    after_s = _decodes_s(spec, shape, offloaded, how.kv_tokens)
    after_s += fetches.host_share * fetched_again(spec) * fetches.token_s
    return how if after_s < before_s else None


def _decodes_s(spec: Spec, shape: StageShape, steps: StepTimes, kv_tokens: int) -> float:
    """Return the seconds of one layer that the decodes of a mean request take of the stage."""
    workload = spec.workload
    share = kv_tokens * shape.num_layers // (workload.mean_tokens * spec.model.layers)
    batch = min(MAX_BATCH, max(1, share))
    step_s = steps.layer_s(0, 0.0, batch, batch * workload.mean_context_tokens)
    return workload.output_tokens.mean * step_s / batch


def fetched_again(spec: Spec) -> int:
    """Return the tokens that the parts of a mean prompt fetch of those before, in one layer."""
    prompt, part = spec.workload.prompt_tokens.mean, step_tokens(spec.cluster, spec.workload)
    return sum(range(0, prompt, part))


def _queries_share(model: Model) -> float:
    """Return the share of a layer's parameters that give queries, keys and values."""
    heads = model.heads + 2 * model.kv_heads
    inputs = model.hidden * heads * model.head_dim
    others = model.hidden * (model.heads * model.head_dim + 3 * model.ffn * model.active_experts)
    return inputs / (inputs + others)
