"""Sequence parallelism: devices share out the tokens of a step, each or in groups.

Around attention, devices exchange tokens for heads (all-to-all). The KV cache is then sharded as
under tensor parallelism, so a stage may shift between the two from step to step. Where there are
fewer groups than devices, those of one group have its tokens in common and add up their results
(docs/formulation.md 4; Shift Parallelism, arXiv 2509.16495).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Self

from hexplan.cluster import Parallel
from hexplan.constants import LARGEST_STEP_TOKENS
from hexplan.cost.collectives import all_reduce_cost, exchange_cost
from hexplan.cost.roofline import Roofline, ShardTimes, shard_times
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.stage_shape import DeviceShard, StageShape, shared_sizes
from hexplan.cost.weights import read_share
from hexplan.host import Interconnect
from hexplan.model import Model
from hexplan.spec import Spec


class SequenceRoofline(Roofline):
    """The seconds of one layer of a stage that shares out tokens, and of the output head.

    Parameters
    ----------
    sp_degree
        Groups of devices that share them out; None for one of each device.
    """

    def __init__(
        self,
        model: Model,
        group: Sequence[DeviceShard],
        interconnect: Interconnect,
        num_layers: int,
        sp_degree: int | None = None,
    ) -> None:
        super().__init__(model, group, interconnect)
        model = self._model
        n, self._groups = len(group), sp_degree or len(group)
        self._members = tuple(_member_times(model, group, sp_degree))
        # Two all-to-alls per layer: queries, keys and values go from own tokens to own heads, and
        # the results of attention go back.
        kv_heads = model.kv_heads * self._groups // n
        row_bytes = 2 * (model.group + 1) * kv_heads * model.head_dim * model.dtype_bytes
        exchange = exchange_cost(interconnect, self._groups, n)
        # At the end of the stage all rows are gathered, once for all its layers.
        gathered_bytes = self._groups * model.hidden * model.dtype_bytes / num_layers
        # Devices with the same tokens add up their results twice a layer.
        reduce = all_reduce_cost(interconnect, n // self._groups, n)
        self._exchange_s = (2 + 1 / num_layers) * exchange.start_s + 2 * reduce.start_s
        self._exchange_row_s = exchange.byte_s * (row_bytes + gathered_bytes)
        self._exchange_row_s += 2 * reduce.byte_s * model.hidden * model.dtype_bytes

    @classmethod
    def of(cls, model: Model, shape: StageShape, interconnect: Interconnect) -> Self:
        """Return the times of a stage of some shape, in its steps that share out tokens."""
        return cls(model, shape.group, interconnect, shape.num_layers, shape.sharing.sp_degree)

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer, with a share of the gather at the stage's end.

        The tokens of each step are padded to the same number in every group.
        """
        tokens = prompt + decode
        if not tokens:
            return 0.0
        rows = math.ceil(math.ceil(tokens / passes) / self._groups)
        touched = read_share(self._model, rows)
        slowest = max(
            passes * held.matrices_s(rows, touched) + own.attention_s(reach, context, passes)
            for held, own in self._members
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
        sp_degree: int | None = None,
    ) -> None:
        super().__init__(model, group, interconnect, num_layers, sp_degree)
        self._shift_tokens = shift_tokens

    def layer_s(
        self, prompt: int, reach: float, decode: int, context: float, passes: int = 1
    ) -> float:
        """Return the seconds of one layer, in the mode of a step of this size."""
        is_small = math.ceil((prompt + decode) / passes) <= self._shift_tokens
        mode = Roofline if is_small else SequenceRoofline
        return mode.layer_s(self, prompt, reach, decode, context, passes)


def _member_times(
    model: Model, group: Sequence[DeviceShard], sp_degree: int | None
) -> Iterator[tuple[ShardTimes, ShardTimes]]:
    """Yield the times of all that a device holds and of its own shard, of each kind of device."""
    held = shared_sizes([shard.sizes for shard in group], sp_degree)
    pairs = zip(group, held, strict=True)
    unlike = {(id(own.device), own.sizes, held): (own, held) for own, held in pairs}
    for own, sizes in unlike.values():
        yield shard_times(model, own.device, sizes), shard_times(model, own.device, own.sizes)


def stage_roofline(model: Model, shape: StageShape) -> Roofline:
    """Return the datasheet times of a stage, however its devices share the work."""
    sharing, interconnect = shape.sharing, shape.interconnect
    if sharing.is_tensor or interconnect is None:
        return Roofline(model, shape.group, interconnect)
    if sharing.shift_tokens is None:
        return SequenceRoofline.of(model, shape, interconnect)
    layers, degree = shape.num_layers, sharing.sp_degree
    return ShiftRoofline(model, shape.group, interconnect, layers, sharing.shift_tokens, degree)


def find_sharing(
    parallel: Parallel, model: Model, shape: StageShape, sp_degree: int | None = None
) -> Sharing | None:
    """Return how a stage would share its work if it were `parallel`, or None if it cannot be.

    Sequence parallelism needs several devices of one type, in one host, that share the KV heads (or
    copies of them) evenly. To shift, no block of quantised weights may be cut, because shards are
    views into the weights held, and there must be a step size from which sharing out tokens is no
    slower.

    Parameters
    ----------
    sp_degree
        Groups of devices that share out tokens; None for one of each device.
    """
    if parallel == "tp":
        return TENSOR
    n, interconnect = len(shape.group), shape.interconnect
    model = shape.model_of(model)
    is_even = n > 1 and len({d.name for d in shape.devices}) == 1 and model.kv_heads % n == 0
    if not is_even or interconnect is None or interconnect.crosses_hosts:
        return None
    if sp_degree not in sp_degrees(n):
        return None
    if parallel == "sp":
        return Sharing("sp", sp_degree=sp_degree)
    if cuts_blocks(model, model.kv_heads // n):
        return None
    shift_tokens = crossing_tokens(model, shape, interconnect, sp_degree)
    return None if shift_tokens is None else Sharing("shift", shift_tokens, sp_degree)


def sp_degrees(num_devices: int) -> tuple[int | None, ...]:
    """Return into how many groups devices can share out tokens: first, each is one of its own."""
    smaller = (d for d in range(num_devices // 2, 1, -1) if num_devices % d == 0)
    return (None, *smaller)


def cuts_blocks(model: Model, kv_heads: int) -> bool:
    """Say whether shards of so many KV heads would cut blocks of quantised weights."""
    form = model.weights
    width = kv_heads * model.head_dim
    return form is not None and any(
        width % block for block in (form.block_rows, form.block_columns) if block
    )


def crossing_tokens(
    model: Model, shape: StageShape, interconnect: Interconnect, sp_degree: int | None = None
) -> int | None:
    """Return the tokens of the largest step that is faster tensor parallel; None if all are.

    Compares steps with the same number of tokens in every group, as others are padded. Attention
    takes the same time in both modes, and is left out.
    """
    groups = sp_degree or len(shape.group)
    tensor = Roofline(model, shape.group, interconnect)
    sequence = SequenceRoofline(model, shape.group, interconnect, shape.num_layers, sp_degree)

    def is_tensor_faster(rows: int) -> bool:
        tokens = rows * groups
        return tensor.layer_s(tokens, 0.0, 0, 0.0) < sequence.layer_s(tokens, 0.0, 0, 0.0)

    low, high = 0, 1
    while is_tensor_faster(high):
        low, high = high, 2 * high
        if high * groups > LARGEST_STEP_TOKENS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_tensor_faster(middle) else (low, middle)
    return low * groups


def allowed_sharings(spec: Spec, shape: StageShape) -> list[Sharing]:
    """Return every way in which the spec lets a stage share its work; one device is always `tp`."""
    if len(shape.group) == 1:
        return [TENSOR]
    found = (
        find_sharing(kind, spec.model, shape, degree)
        for kind in spec.cluster.limits.parallel
        for degree in (sp_degrees(len(shape.group)) if kind != "tp" else (None,))
    )
    return [sharing for sharing in found if sharing is not None]
