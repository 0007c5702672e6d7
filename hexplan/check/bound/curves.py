"""The highest rate of every group that hosts can form, by the number of layers it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from hexplan.check.bound.group_shards import group_shards
from hexplan.check.bound.host_shapes import Group, HostShape
from hexplan.check.lookup import Lookup
from hexplan.check.stage.host_room import HostFigures, offload_of_longest
from hexplan.check.stage.memory import kv_room
from hexplan.check.stage.sequence import KnownSeconds
from hexplan.check.stage.sharing import KnownModes, obstacle, shift_tokens, smaller_degrees
from hexplan.check.stage.speed import is_from_datasheet, speed_of
from hexplan.cluster import Parallel
from hexplan.constants import MICRO
from hexplan.field_types import Range
from hexplan.host import Interconnect
from hexplan.plan import Shard, Stage

Curve = tuple[int, ...]
"""The highest rate with 0, 1, 2, ... layers in 1e-6 tokens/s, rounded down; 0 beyond its end."""


@dataclass(frozen=True, slots=True)
class Way:
    """How devices may share their work."""

    parallel: Parallel = "tp"
    sp_degree: int | None = None
    """The SP degree, if it is not their number."""


TENSOR: Final = (Way(),)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What decides how fast a group of devices is; groups of one key have one curve."""

    group: Group
    interconnect: Interconnect | None
    """Over it a measured group is set against its datasheet, even for a single device."""
    presence: Decimal
    is_joined: bool
    figures: HostFigures | None = None

    @classmethod
    def of(cls, shape: HostShape, group: Group) -> GroupKey:
        """Return the key of a group of a host's devices."""
        return cls(group, shape.interconnect, shape.presence, shape.is_joined, shape.figures)


class Curves:
    """The curves of a plan's groups, each computed once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[tuple[GroupKey, Range | None], Curve] = {}

    def of(self, shape: HostShape, host: str, group: Group) -> Curve:
        """Return the curve of a group on a host of a shape."""
        key = GroupKey.of(shape, group), shape.pin
        if key not in self._known:
            self._known[key] = _curve(self._lookup, host, group, shape.pin)
        return self._known[key]


def _curve(lookup: Lookup, host: str, group: Group, pin: Range | None) -> Curve:
    members = _Members.of(lookup, host, group)
    if members is None:
        return ()
    total = lookup.plan.model.layers
    if pin is not None:
        first, end = pin
        if not 0 <= first < end <= total:
            return ()
        return (*[0] * (end - first), max(members.rates(pin), default=0))
    best = [0]
    while len(best) <= total:
        rates = [rate for layers in members.ranges(len(best)) for rate in members.rates(layers)]
        if not rates and members.ways == TENSOR and not lookup.counts_host_memory:
            break  # what does not fit with so many layers does not fit with more
        best.append(max(rates, default=0))
    return tuple(best)


def _ways(lookup: Lookup, n: int) -> tuple[Way, ...]:
    """Return every way in which the limits let n devices share their work."""
    if n == 1:
        return TENSOR
    ways: list[Way] = []
    for mode in dict.fromkeys(lookup.plan.cluster.limits.parallel):
        ways.append(Way(mode))
        if mode != "tp":
            ways += [Way(mode, degree) for degree in smaller_degrees(n)]
    return tuple(ways)


@dataclass(frozen=True, slots=True)
class _Members:
    """The devices of a group on one host, and the ways in which they may share their work."""

    lookup: Lookup
    host: str
    shards: tuple[Shard, ...]
    ways: tuple[Way, ...]
    known: KnownSeconds = field(default_factory=dict)
    known_modes: KnownModes = field(default_factory=dict)

    @classmethod
    def of(cls, lookup: Lookup, host: str, group: Group) -> _Members | None:
        """Find devices of the group's types on a host; None if they can form no stage."""
        sized = group_shards(lookup.plan.model, [lookup.device_types[name] for name in group])
        if sized is None:
            return None
        free = list(enumerate(lookup.hosts[host].devices))
        shards = []
        for shard, name in zip(sized, group, strict=True):
            index = next(i for i, (_, kind) in enumerate(free) if kind == name)
            shards.append(shard.model_copy(update={"device": free.pop(index)[0]}))
        return cls(lookup, host, tuple(shards), _ways(lookup, len(group)))

    def ranges(self, num_layers: int) -> Iterator[Range]:
        """Yield one range of so many layers for each combination of the model's ends.

        By the datasheet, a tensor-parallel stage is fastest inside the model: embedding and output
        head take memory, and the head takes time. So the ends matter only where no stage of so many
        layers fits between them. With host memory a first stage fetches for fewer layers.
        """
        total = self.lookup.plan.model.layers
        inner = (1, 1 + num_layers)
        if num_layers == total:
            yield (0, total)
            return
        if num_layers < total - 1:
            yield inner
            is_plain = self.ways == TENSOR and not self.lookup.counts_host_memory
            if is_plain and is_from_datasheet(self.lookup, self._stage(inner, TENSOR[0])):
                return
        yield (0, num_layers)
        yield (total - num_layers, total)

    def rates(self, layers: Range) -> Iterator[int]:
        """Yield the rate in each way that fits the memory and the longest request."""
        for way in self.ways:
            yield from self._rate(self._stage(layers, way))

    def _rate(self, stage: Stage) -> Iterator[int]:
        if stage.parallel != "tp" and (
            obstacle(self.lookup, stage) or self.lookup.hosts[stage.host].interconnect is None
        ):
            return
        if stage.parallel == "shift":
            threshold = shift_tokens(self.lookup, stage, self.known_modes)
            if threshold is None:
                return
            stage = stage.model_copy(update={"shift_tokens": threshold})
        kv_tokens = kv_room(self.lookup, stage)
        update: dict[str, object] = {"kv_tokens": kv_tokens}
        if kv_tokens < self.lookup.plan.workload.max_tokens:
            how = None
            if self.lookup.counts_host_memory:
                how = offload_of_longest(self.lookup, stage)
            if how is None:
                return
            update["kv_offload"] = how
        speed = speed_of(self.lookup, stage.model_copy(update=update), self.known)
        if speed is not None:
            yield int(speed.tokens_per_s * MICRO)

    def _stage(self, layers: Range, way: Way) -> Stage:
        return Stage(
            id="",
            host=self.host,
            layers=layers,
            parallel=way.parallel,
            sp_degree=way.sp_degree,
            shards=self.shards,
            memory=(),
            kv_tokens=0,
            capacity_tokens_per_s=Decimal(0),
            load_tokens_per_s=Decimal(0),
            speed_origin="",
            speed_error=Decimal(0),
        )
