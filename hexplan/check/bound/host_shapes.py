"""What hosts can form stages of: their devices, grouped in every way (docs/formulation.md 7)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import islice, product
from math import prod

from hexplan.check.lookup import Lookup
from hexplan.check.stage.host_room import HostFigures
from hexplan.constants import MAX_PARTITIONS
from hexplan.field_types import Range
from hexplan.host import Host, Interconnect

Group = tuple[str, ...]
"""The device types of one stage, sorted."""
Split = tuple[tuple[Group, int], ...]
"""Groups, and how often each is formed."""
_Counts = tuple[int, ...]
"""How many devices of each type."""


@dataclass(frozen=True, slots=True)
class HostShape:
    """What a host can form stages of; the bounds need not tell hosts of one shape apart."""

    free: Group
    """Types of the devices that may be grouped freely."""
    tied: tuple[Group, ...]
    """Groups that the user tied together."""
    pin: Range | None
    """The only layers that the host may hold, if the user pinned it."""
    interconnect: Interconnect | None
    presence: Decimal
    """Share of the time in which the plan counts on it."""
    is_joined: bool
    figures: HostFigures | None = None
    """What it has for keys and values, if the longest request may need that."""

    def choices(self) -> tuple[tuple[Split, ...], ...]:
        """Return the ways to split each part of the host's devices.

        A partition of the host takes one split of each part.
        """
        tied = tuple(sorted(Counter(self.tied).items()))
        types = tuple(sorted(set(self.free)))
        counts = tuple(self.free.count(name) for name in types)
        parts = (_named(types, splits) for splits in _splits(counts))
        return ((tied,), *parts)


def hosts_by_shape(lookup: Lookup) -> dict[HostShape, tuple[str, ...]]:
    """Return the names of the hosts of each shape, in the plan's order."""
    cluster = lookup.plan.cluster
    tied: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for group in cluster.group_pins:
        tied[group.host].append(group.devices)
    pins: dict[str, Range] = {}
    for pin in cluster.layer_pins:
        pins.setdefault(pin.host, pin.layers)
    excluded = {(exclusion.host, exclusion.device) for exclusion in cluster.exclusions}
    found: dict[HostShape, list[str]] = defaultdict(list)
    for name, host in lookup.hosts.items():
        if (name, None) in excluded:
            continue
        known = {i for i, kind in enumerate(host.devices) if kind in lookup.device_types}
        bound = {device for devices in tied[name] for device in devices}
        free = [i for i in sorted(known - bound) if (name, i) not in excluded]
        groups = [devices for devices in tied[name] if devices and known.issuperset(devices)]
        shape = _shape(host, free, groups, pins.get(name))
        if lookup.counts_host_memory:
            shape = replace(shape, figures=HostFigures.of(lookup.plan, host))
        found[shape].append(name)
    return {shape: tuple(names) for shape, names in found.items()}


def _shape(
    host: Host, free: list[int], tied: list[tuple[int, ...]], pin: Range | None
) -> HostShape:
    groups = (tuple(sorted(host.devices[device] for device in devices)) for devices in tied)
    return HostShape(
        free=tuple(sorted(host.devices[device] for device in free)),
        tied=tuple(sorted(groups)),
        pin=pin,
        interconnect=host.interconnect,
        presence=host.presence,
        is_joined=bool(host.parts),
    )


def _named(types: tuple[str, ...], splits: tuple[Counter[_Counts], ...]) -> tuple[Split, ...]:
    return tuple(
        tuple(
            (tuple(n for n, count in zip(types, part, strict=True) for _ in range(count)), number)
            for part, number in split.items()
        )
        for split in splits
    )


@cache
def _splits(counts: _Counts) -> tuple[tuple[Counter[_Counts], ...], ...]:
    """Return every split of counts, or those of each type by itself if there are too many."""
    if prod(count + 1 for count in counts) <= MAX_PARTITIONS:
        parts = [part for part in product(*(range(count + 1) for count in counts)) if any(part)]
        found = tuple(islice(_every_split(counts, parts, len(parts) - 1), MAX_PARTITIONS + 1))
        if len(found) <= MAX_PARTITIONS:
            return (found,)
    return tuple(_even_splits(counts, position) for position in range(len(counts)))


def _every_split(counts: _Counts, parts: list[_Counts], last: int) -> Iterator[Counter[_Counts]]:
    """Yield the splits that use the parts up to a position."""
    if not any(counts):
        yield Counter()
        return
    for position in range(last, -1, -1):
        part = parts[position]
        if all(own <= left for own, left in zip(part, counts, strict=True)):
            rest = tuple(left - own for own, left in zip(part, counts, strict=True))
            for others in _every_split(rest, parts, position):
                yield others + Counter({part: 1})


def _even_splits(counts: _Counts, position: int) -> tuple[Counter[_Counts], ...]:
    """Return the splits of one type's devices into equal parts and one rest."""

    def part(size: int) -> _Counts:
        return tuple(size if i == position else 0 for i in range(len(counts)))

    found = []
    for size in range(1, counts[position] + 1):
        number, rest = divmod(counts[position], size)
        split = Counter({part(size): number})
        split.update({part(rest): 1} if rest else {})
        found.append(split)
    return tuple(found)
