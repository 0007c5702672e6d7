"""Sequence parallelism: the tokens of a step are shared out, and each device holds whole layers.

Around attention, devices exchange tokens for heads (all-to-all), so that the KV cache lies as with
tensor parallelism and a stage may shift between the two from step to step (docs/formulation.md 4;
Shift Parallelism, arXiv 2509.16495).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hexplan.cluster import Cluster, Parallel
from hexplan.cost.roofline import Roofline, shard_times
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.weights import ShardSizes, read_share
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.noun import Range

LARGEST_STEP = 1 << 20
"""Tokens of the largest step for which a crossing is sought; `limits.chunk_tokens` is smaller."""

Group = Sequence[tuple[DeviceType, ShardSizes]]
"""Each device of a stage with its shard's sizes."""


class SequenceRoofline(Roofline):
    """The seconds of one layer of a sequence-parallel stage, and of the output head."""

    def __init__(
        self, model: Model, group: Group, interconnect: Interconnect, num_layers: int
    ) -> None:
        super().__init__(model, group, interconnect)
        whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
        self._num_devices = n = len(group)
        self._whole = tuple(shard_times(model, device, whole) for device, _ in group)
        # Two all-to-alls a layer: queries, keys and values of own tokens against those of own
        # heads, then what attention gives back.
        row_bytes = 2 * (model.group + 1) * model.kv_heads * model.head_dim * model.dtype_bytes
        alpha_s, rate = float(interconnect.latency_s), interconnect.bandwidth_bytes_per_s
        # Where the stage ends, all rows are gathered, once for all its layers.
        gathered_bytes = model.hidden * model.dtype_bytes / num_layers
        self._exchange_s = (n - 1) * (2 + 1 / num_layers) * alpha_s
        self._exchange_row_s = (n - 1) * (row_bytes / n + gathered_bytes) / rate

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer, the tokens of each step padded to a row for each device.

        The gather at the stage's end is spread over its layers.
        """
        tokens = prompt + decode
        if not tokens:
            return 0.0
        rows = math.ceil(math.ceil(tokens / passes) / self._num_devices)
        touched = read_share(self._model, rows)
        slowest = max(
            passes * (rows * whole.token_s + whole.dense_s + touched * whole.experts_s)
            + reach * own.reach_s
            + context * max(own.reach_s, own.kv_s)
            for whole, own in zip(self._whole, self._shards, strict=True)
        )
        return slowest + passes * (self._exchange_s + rows * self._exchange_row_s)


class ShiftRoofline(SequenceRoofline):
    """The seconds of one layer of a stage whose small steps are tensor parallel."""

    def __init__(
        self,
        model: Model,
        group: Group,
        interconnect: Interconnect,
        num_layers: int,
        shift_tokens: int,
    ) -> None:
        super().__init__(model, group, interconnect, num_layers)
        self._shift_tokens = shift_tokens

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer in the mode that the size of a step asks for."""
        is_small = math.ceil((prompt + decode) / passes) <= self._shift_tokens
        mode = Roofline if is_small else SequenceRoofline
        return mode.layer_s(self, prompt, reach, decode, context, passes)


def shared_roofline(
    model: Model,
    layers: Range,
    group: Group,
    interconnect: Interconnect | None,
    sharing: Sharing = TENSOR,
) -> Roofline:
    """Return the datasheet times of a stage, however its devices share the work."""
    if sharing.is_tensor or interconnect is None:
        return Roofline(model, group, interconnect)
    num_layers = layers[1] - layers[0]
    if sharing.shift_tokens is None:
        return SequenceRoofline(model, group, interconnect, num_layers)
    return ShiftRoofline(model, group, interconnect, num_layers, sharing.shift_tokens)


def find_sharing(
    parallel: Parallel, model: Model, layers: Range, group: Group, interconnect: Interconnect | None
) -> Sharing | None:
    """Return how a stage would be parallel in this way, or None where it cannot be.

    Sequence parallelism needs several devices of one type, in one host, that share the KV heads
    evenly. To
    shift, shards are views into whole weights, so no block of quantised weights may be cut, and
    there has to be a size of step from which sequence parallelism is no slower.
    """
    if parallel == "tp":
        return TENSOR
    n = len(group)
    is_even = n > 1 and len({device.name for device, _ in group}) == 1 and model.kv_heads % n == 0
    if not is_even or interconnect is None or interconnect.crosses_hosts:
        return None
    if parallel == "sp":
        return Sharing("sp")
    if cuts_blocks(model, model.kv_heads // n):
        return None
    shift_tokens = crossing_tokens(model, layers, group, interconnect)
    return None if shift_tokens is None else Sharing("shift", shift_tokens)


def cuts_blocks(model: Model, kv_heads: int) -> bool:
    """Say whether shards of so many KV heads part blocks of quantised weights."""
    form = model.weights
    width = kv_heads * model.head_dim
    return form is not None and any(
        width % block for block in (form.block_rows, form.block_columns) if block
    )


def crossing_tokens(
    model: Model, layers: Range, group: Group, interconnect: Interconnect
) -> int | None:
    """Return the tokens of the largest step that is faster tensor parallel; None without an end.

    Compared are steps of a whole number of tokens for each device, as others are padded. Attention
    takes the same in both modes, and is left out.
    """
    n = len(group)
    tensor = Roofline(model, group, interconnect)
    sequence = SequenceRoofline(model, group, interconnect, layers[1] - layers[0])

    def is_faster_whole(rows: int) -> bool:
        tokens = rows * n
        return tensor.layer_s(tokens, 0.0, 0, 0.0) < sequence.layer_s(tokens, 0.0, 0, 0.0)

    low, high = 0, 1
    while is_faster_whole(high):
        low, high = high, 2 * high
        if high * n > LARGEST_STEP:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_faster_whole(middle) else (low, middle)
    return low * n


def allowed_sharings(
    cluster: Cluster,
    model: Model,
    layers: Range,
    group: Group,
    interconnect: Interconnect | None,
) -> list[Sharing]:
    """Return the ways in which the spec lets a stage be parallel; one device is always `tp`."""
    if len(group) == 1:
        return [TENSOR]
    found = (
        find_sharing(parallel, model, layers, group, interconnect)
        for parallel in cluster.limits.parallel
    )
    return [sharing for sharing in found if sharing is not None]
