"""How a host's devices can be grouped into stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product

from hexplan_solver.problem.params import PROBLEM_PARAMS

Group = tuple[str, ...]
"""Device types of one stage, in the order of the host's devices."""


def partitions(
    devices: Sequence[str],
    fixed: Sequence[Group] = (),
    max_partitions: int = PROBLEM_PARAMS.max_partitions,
) -> tuple[tuple[Group, ...], ...]:
    """List every split of devices into groups; devices of one type are interchangeable.

    Parameters
    ----------
    devices
        Types of the devices that may be grouped freely.
    fixed
        Groups that are part of every partition.
    max_partitions
        If there are more, each type is split by itself, into equal groups and one rest.
    """
    types = tuple(sorted(set(devices)))
    counts = tuple(devices.count(name) for name in types)
    splits = _split_counts(counts, counts, max_partitions)
    if len(splits) > max_partitions:
        splits = tuple(_split_each_type(counts))
    named = (tuple(_named(types, group) for group in groups) for groups in splits)
    return tuple(tuple(sorted((*fixed, *groups))) for groups in named)


def _named(types: tuple[str, ...], group: tuple[int, ...]) -> Group:
    return tuple(name for name, count in zip(types, group, strict=True) for _ in range(count))


@lru_cache(maxsize=4096)
def _split_counts(
    counts: tuple[int, ...], largest: tuple[int, ...], enough: int
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Split a vector of counts into vectors in non-increasing lexicographic order.

    Stops soon after there are more than `enough` splits.
    """
    if not any(counts):
        return ((),)
    splits: list[tuple[tuple[int, ...], ...]] = []
    for part in product(*(range(count, -1, -1) for count in counts)):
        if not any(part) or part > largest:
            continue
        rest = tuple(a - b for a, b in zip(counts, part, strict=True))
        splits += [(part, *others) for others in _split_counts(rest, part, enough)]
        if len(splits) > enough:
            break
    return tuple(splits)


def _split_each_type(counts: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Split the devices of each type into equal groups and one rest, types kept apart."""
    per_type = []
    for position, count in enumerate(counts):
        unit = [int(i == position) for i in range(len(counts))]
        splits = sorted(set(_even_splits(count)))
        per_type.append([tuple(tuple(n * u for u in unit) for n in split) for split in splits])
    for choice in product(*per_type):
        yield tuple(group for split in choice for group in split)


def _even_splits(count: int) -> Iterator[tuple[int, ...]]:
    """Yield the splits of a count into equal groups and one rest."""
    for size in range(1, count + 1):
        groups, rest = divmod(count, size)
        yield (size,) * groups + ((rest,) if rest else ())
