"""Sets of hosts that a plan may join, so that their devices form one stage."""

from __future__ import annotations

from itertools import chain, combinations
from typing import TYPE_CHECKING

from hexplan.joining import why_not_joined
from hexplan.reading.names import expand
from hexplan.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hexplan.cluster import Cluster
    from hexplan.host import Host
    from hexplan.model import Model
    from hexplan.reading.locate import Locator
    from hexplan.wording import KeyPath

FEW_HOSTS = 4
"""The largest site of which any hosts may be joined; in a larger site, only identical ones.

Four hosts have eleven sets of two or more; the number doubles with each further host.
"""
ALIKE_SIZES = (2, 4, 8)
"""How many identical hosts of a larger site are joined at once: the usual degrees."""

Joins = tuple[tuple[str, ...], ...]


def read_joins(text: str | Joins | None, cluster: Cluster, model: Model, at: Locator) -> Joins:
    """Return the sets of hosts that `limits.join` allows to be joined, each of which can be."""
    if text is None:
        return ()
    if isinstance(text, str):
        return tuple(_any(cluster, model))
    return tuple(
        _listed(names, cluster, model, ("limits", "join", index), at)
        for index, names in enumerate(text)
    )


def _listed(
    texts: tuple[str, ...], cluster: Cluster, model: Model, path: KeyPath, at: Locator
) -> tuple[str, ...]:
    """Return the hosts of one entry, or say why they cannot be joined."""
    names = tuple(chain.from_iterable(map(expand, texts)))
    for name in names:
        if name not in cluster.host_by_name:
            hint = did_you_mean(name, cluster.host_by_name)
            raise at.error(path, f"found '{name}', needed a host", hint=hint)
    if len(names) < 2 or len(set(names)) < len(names):
        raise at.error(path, f"found {', '.join(names)}, needed two or more hosts, each once")
    obstacle = why_not_joined(cluster, names)
    if obstacle:
        problem = f"found {', '.join(names)}, which cannot be joined: {obstacle}"
        raise at.error(path, problem)
    count = _num_devices(cluster, names)
    if not _can_share(model, count):
        needed = (
            f"at most {model.kv_heads}, as many as {model.name} has KV heads, or a multiple of"
            f" these that divides its {model.heads} query heads"
        )
        problem = f"found {count} devices together, needed {needed}"
        raise at.error(path, problem, hint="join fewer hosts")
    return names


def _any(cluster: Cluster, model: Model) -> Iterator[tuple[str, ...]]:
    """Yield the sets of hosts that can be joined: any in a small site, else identical hosts."""
    by_site: dict[str, list[Host]] = {}
    for host in cluster.hosts:
        by_site.setdefault(host.site, []).append(host)
    for hosts in by_site.values():
        sets = _subsets(hosts) if len(hosts) <= FEW_HOSTS else _alike_sets(hosts)
        for names in sets:
            can_share = _can_share(model, _num_devices(cluster, names))
            if can_share and not why_not_joined(cluster, names):
                yield names


def _can_share(model: Model, num_devices: int) -> bool:
    return num_devices <= model.as_held_by(num_devices).kv_heads


def _subsets(hosts: Sequence[Host]) -> Iterator[tuple[str, ...]]:
    for size in range(2, len(hosts) + 1):
        for chosen in combinations(hosts, size):
            yield tuple(host.name for host in chosen)


def _alike_sets(hosts: Sequence[Host]) -> Iterator[tuple[str, ...]]:
    alike: dict[Host, list[str]] = {}
    for host in hosts:
        blank = host.model_copy(update={"name": "", "address": None})
        alike.setdefault(blank, []).append(host.name)
    for names in alike.values():
        for size in ALIKE_SIZES:
            for first in range(0, len(names) - size + 1, size):
                yield tuple(names[first : first + size])


def _num_devices(cluster: Cluster, names: Sequence[str]) -> int:
    """Count the devices of some hosts that no pin excludes."""
    return sum(
        not cluster.is_excluded(name, device)
        for name in names
        for device in range(len(cluster.host_by_name[name].devices))
    )
