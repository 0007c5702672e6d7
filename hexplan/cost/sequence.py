"""Sequence parallelism: devices share out the tokens of a step, and each holds whole layers.

Around attention, devices exchange tokens for heads (all-to-all). The KV cache is then sharded as
under tensor parallelism, so a stage may shift between the two from step to step
(docs/formulation.md 4; Shift Parallelism, arXiv 2509.16495).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hexplan.cluster import Parallel
from hexplan.constants import LARGEST_STEP_TOKENS
from hexplan.cost.collectives import exchange_cost
from hexplan.cost.roofline import Roofline, distinct, shard_times
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.stage_shape import DeviceShard, StageShape
from hexplan.cost.weights import ShardSizes, read_share
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.spec import Spec


class SequenceRoofline(Roofline):
    """The seconds of one layer of a sequence-parallel stage, and of the output head."""

    def __init__(
        self,
        model: Model,
        group: Sequence[DeviceShard],
        interconnect: Interconnect,
        num_layers: int,
    ) -> None:
        super().__init__(model, group, interconnect)
        whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
        self._num_devices = n = len(group)
        self._whole = tuple(shard_times(model, shard.device, whole) for shard in distinct(group))
        # Two all-to-alls per layer: queries, keys and values go from own tokens to own heads, and
        # the results of attention go back.
        row_bytes = 2 * (model.group + 1) * model.kv_heads * model.head_dim * model.dtype_bytes
        exchange = exchange_cost(interconnect, n)
        # At the end of the stage all rows are gathered, once for all its layers.
        gathered_bytes = n * model.hidden * model.dtype_bytes / num_layers
        self._exchange_s = (2 + 1 / num_layers) * exchange.start_s
        self._exchange_row_s = exchange.byte_s * (row_bytes + gathered_bytes)

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer, with a share of the gather at the stage's end.

        The tokens of each step are padded to the same number on every device.
        """
        tokens = prompt + decode
        if not tokens:
            return 0.0
        rows = math.ceil(math.ceil(tokens / passes) / self._num_devices)
        touched = read_share(self._model, rows)
        slowest = max(
            passes * whole.matrices_s(rows, touched) + own.attention_s(reach, context, passes)
            for whole, own in zip(self._whole, self._shards, strict=True)
        )
        return slowest + passes * (self._exchange_s + rows * self._exchange_row_s)


class ShiftRoofline(SequenceRoofline):
    """The seconds of one layer of a stage whose small steps are tensor parallel."""

    def __init__(
        self,
        model: Model,
        group: Sequence[DeviceShard],
        interconnect: Interconnect,
        num_layers: int,
        shift_tokens: int,
    ) -> None:
        super().__init__(model, group, interconnect, num_layers)
        self._shift_tokens = shift_tokens

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer, in the mode of a step of this size."""
        is_small = math.ceil((prompt + decode) / passes) <= self._shift_tokens
        mode = Roofline if is_small else SequenceRoofline
        return mode.layer_s(self, prompt, reach, decode, context, passes)


def stage_roofline(model: Model, shape: StageShape) -> Roofline:
    """Return the datasheet times of a stage, however its devices share the work."""
    sharing, interconnect = shape.sharing, shape.interconnect
    if sharing.is_tensor or interconnect is None:
        return Roofline(model, shape.group, interconnect)
    if sharing.shift_tokens is None:
        return SequenceRoofline(model, shape.group, interconnect, shape.num_layers)
    shift_tokens = sharing.shift_tokens
    return ShiftRoofline(model, shape.group, interconnect, shape.num_layers, shift_tokens)


def find_sharing(parallel: Parallel, model: Model, shape: StageShape) -> Sharing | None:
    """Return how a stage would share its work if it were `parallel`, or None if it cannot be.

    Sequence parallelism needs several devices of one type, in one host, that share the KV heads
    evenly. To shift, no block of quantised weights may be cut, because shards are views into whole
    weights, and there must be a step size from which sequence parallelism is no slower.
    """
    if parallel == "tp":
        return TENSOR
    n, interconnect = len(shape.group), shape.interconnect
    is_even = n > 1 and len({d.name for d in shape.devices}) == 1 and model.kv_heads % n == 0
    if not is_even or interconnect is None or interconnect.crosses_hosts:
        return None
    if parallel == "sp":
        return Sharing("sp")
    if cuts_blocks(model, model.kv_heads // n):
        return None
    shift_tokens = crossing_tokens(model, shape, interconnect)
    return None if shift_tokens is None else Sharing("shift", shift_tokens)


def cuts_blocks(model: Model, kv_heads: int) -> bool:
    """Say whether shards of so many KV heads would cut blocks of quantised weights."""
    form = model.weights
    width = kv_heads * model.head_dim
    return form is not None and any(
        width % block for block in (form.block_rows, form.block_columns) if block
    )


def crossing_tokens(model: Model, shape: StageShape, interconnect: Interconnect) -> int | None:
    """Return the tokens of the largest step that is faster tensor parallel; None if all are.

    Compares steps with the same number of tokens on every device, as others are padded. Attention
    takes the same time in both modes, and is left out.
    """
    n = len(shape.group)
    tensor = Roofline(model, shape.group, interconnect)
    sequence = SequenceRoofline(model, shape.group, interconnect, shape.num_layers)

    def is_tensor_faster(rows: int) -> bool:
        tokens = rows * n
        return tensor.layer_s(tokens, 0.0, 0, 0.0) < sequence.layer_s(tokens, 0.0, 0, 0.0)

    low, high = 0, 1
    while is_tensor_faster(high):
        low, high = high, 2 * high
        if high * n > LARGEST_STEP_TOKENS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_tensor_faster(middle) else (low, middle)
    return low * n


def allowed_sharings(spec: Spec, shape: StageShape) -> list[Sharing]:
    """Return every way in which the spec lets a stage share its work; one device is always `tp`."""
    if len(shape.group) == 1:
        return [TENSOR]
    found = (find_sharing(kind, spec.model, shape) for kind in spec.cluster.limits.parallel)
    return [sharing for sharing in found if sharing is not None]
