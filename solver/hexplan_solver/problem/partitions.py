"""The ways to group a host's devices into stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product

Group = tuple[str, ...]
"""Device types of one stage, in the order of the host's devices."""

MAX_PARTITIONS = 400
"""More ways than this, and groups over mixed device types are left out."""


def partitions(
    devices: Sequence[str], fixed: Sequence[Group] = ()
) -> tuple[tuple[Group, ...], ...]:
    """List every way to split devices into groups, devices of one type being interchangeable.

    Parameters
    ----------
    devices
        Device types that are free to be grouped.
    fixed
        Groups that stand in every partition.
    """
    types = tuple(sorted(set(devices)))
    counts = tuple(devices.count(name) for name in types)
    mixed = tuple(_split_vector(counts, counts))
    if len(mixed) > MAX_PARTITIONS:
        mixed = tuple(_split_each_type(counts))
    named = (tuple(_named(types, part) for part in parts) for parts in mixed)
    return tuple(tuple(sorted((*fixed, *groups))) for groups in named)


def _named(types: tuple[str, ...], part: tuple[int, ...]) -> Group:
    return tuple(name for name, count in zip(types, part, strict=True) for _ in range(count))


@lru_cache(maxsize=4096)
def _split_vector(
    counts: tuple[int, ...], largest: tuple[int, ...]
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Split a vector of counts into vectors in non-increasing lexicographic order."""
    if not any(counts):
        return ((),)
    found: list[tuple[tuple[int, ...], ...]] = []
    for part in product(*(range(count, -1, -1) for count in counts)):
        if not any(part) or part > largest:
            continue
        rest = tuple(a - b for a, b in zip(counts, part, strict=True))
        found += [(part, *others) for others in _split_vector(rest, part)]
        if len(found) > MAX_PARTITIONS:
            break
    return tuple(found)


def _split_each_type(counts: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Split each type's devices into powers of two and the whole, types kept apart."""
    per_type = []
    for position, count in enumerate(counts):
        unit = [int(i == position) for i in range(len(counts))]
        ways = sorted(set(_even_ways(count)))
        per_type.append([tuple(tuple(n * u for u in unit) for n in way) for way in ways])
    for choice in product(*per_type):
        yield tuple(part for way in choice for part in way)


def _even_ways(count: int) -> Iterator[tuple[int, ...]]:
    """Yield the splits of a count into equal groups and one rest."""
    for size in range(1, count + 1):
        groups, rest = divmod(count, size)
        yield (size,) * groups + ((rest,) if rest else ())
