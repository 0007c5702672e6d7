"""What joins every two hosts, as arrays: looked up rule by rule, not pair by pair.

`network` says the same of single pairs, with the rules of `Cluster.rule`. A large cluster has
millions of pairs, but few rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan.cluster import COORDINATOR, Cluster, Coordinator, Link
from hexplan.constants import MICRO, TOKEN_ID_BYTES
from hexplan.cost import activation_bytes
from hexplan.host import Host
from hexplan.spec import Spec
from hexplan_solver.flow.network import Shared

MOST_SHARED = 4
"""Shared capacities on the way between two hosts: two NICs, a trunk and the link itself."""
MOST_TABLED = 400
"""With more hosts, pairs are looked up anew each time: a table of all takes 50 bytes a pair."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_NO_RULE = -1


@dataclass(frozen=True, slots=True)
class PairLinks:
    """What joins some pairs of hosts, as arrays with a row for each pair."""

    capacity: Floats
    """In tokens/s; 0 where no link joins the two."""
    shared: Ints
    """Of shape (pairs, `MOST_SHARED`): the shared capacities on the way, or -1."""
    token_bytes: Ints
    """What a token takes of each of these."""


class LinkArrays:
    """The links of a cluster, by the positions of their ends in `ends`."""

    def __init__(self, spec: Spec) -> None:
        self._cluster = cluster = spec.cluster
        self.ends = (*(host.name for host in cluster.hosts), COORDINATOR)
        """Names of the hosts, then the coordinator."""
        self.position = {name: i for i, name in enumerate(self.ends)}
        hosts, outside = cluster.hosts, cluster.coordinator
        nics: list[Host | Coordinator] = [*hosts, outside]
        self._nic_out = _floats(end.nic_out_bytes_per_s for end in nics)
        self._nic_in = _floats(end.nic_in_bytes_per_s for end in nics)
        inside = [h.interconnect.bandwidth_bytes_per_s if h.interconnect else 0 for h in hosts]
        self._inside = _floats([*inside, 0])
        several = [len(h.devices) > 1 and not h.parts for h in hosts]
        self._has_several = np.array([*several, False])
        self._is_outside = np.array([*(False for _ in hosts), True])
        self._rule = _rules(cluster, self.position)
        # The last one is that of pairs without a rule.
        widths = [activation_bytes(spec.model, rule.compress) for rule in cluster.links]
        self._bytes = np.array([*widths, activation_bytes(spec.model)], dtype=np.int64)
        self._bandwidth = _floats(rule.bandwidth_bytes_per_s for rule in cluster.links)
        overs = [cluster.over(rule) for rule in cluster.links]
        self._passes = np.array([over.allow == "all" for over in overs], dtype=bool)
        self._passes_ids = np.array([over.allow != "none" for over in overs], dtype=bool)
        trunks = {(o.source, o.target): o for o in overs if o.trunk_bytes_per_s is not None}
        self._trunks = list(trunks.values())
        self._trunk_sizes = _floats(over.trunk_bytes_per_s or 0 for over in self._trunks)
        number = {ends: i for i, ends in enumerate(trunks)}
        found = [number.get((over.source, over.target), _NO_RULE) for over in overs]
        self._trunk = np.array(found, dtype=np.int64)
        self._table: PairLinks | None = None
        self._limits: dict[int, float] = {}

    def between(self, source: Ints, target: Ints) -> PairLinks:
        """Return what joins some pairs of ends."""
        num_ends = len(self.ends)
        if num_ends > MOST_TABLED:
            return self._look_up(source, target)
        if self._table is None:
            every = np.arange(num_ends**2)
            self._table = self._look_up(every // num_ends, every % num_ends)
        pair, table = source * num_ends + target, self._table
        return PairLinks(table.capacity[pair], table.shared[pair], table.token_bytes[pair])

    def limits_of(self, indices: Ints) -> Floats:
        """Return the bytes/s of some shared capacities."""
        known = self._limits
        for index in indices.tolist():
            if index not in known:
                known[index] = float(self.capacity_of(index).bytes_per_s)
        return _floats(known[index] for index in indices.tolist())

    def _look_up(self, source: Ints, target: Ints) -> PairLinks:
        is_inside = source == target
        with_ids = self._is_outside[source] | self._is_outside[target]
        rule = np.where(is_inside, _NO_RULE, self._rule[source, target])
        num_bytes = np.where(with_ids, TOKEN_ID_BYTES, self._bytes[rule])
        if self._bandwidth.size:
            passes = np.where(with_ids, self._passes_ids[rule], self._passes[rule])
            bandwidth = np.where((rule >= 0) & passes, self._bandwidth[rule], 0)
            trunk = np.where(rule >= 0, self._trunk[rule], _NO_RULE)
        else:
            bandwidth, trunk = np.zeros(rule.size), np.full_like(rule, _NO_RULE)
        bandwidth = np.where(is_inside, self._inside[source], bandwidth)
        capacity = np.floor(bandwidth * (MICRO / num_bytes)) / MICRO
        shared = np.full((source.size, MOST_SHARED), -1, dtype=np.int64)
        num_ends, num_trunks = len(self.ends), len(self._trunks)
        shared[:, 0] = source
        shared[:, 1] = num_ends + target
        shared[:, 2] = np.where(trunk >= 0, 2 * num_ends + trunk, -1)
        narrowest = np.minimum(self._nic_out[source], self._nic_in[target])
        if num_trunks:
            is_narrower = (trunk >= 0) & (self._trunk_sizes[trunk] < narrowest)
            narrowest = np.where(is_narrower, self._trunk_sizes[trunk], narrowest)
        is_several = self._has_several[source] | self._has_several[target]
        pair = 2 * num_ends + num_trunks + source * num_ends + target
        shared[:, 3] = np.where(is_several & (bandwidth < narrowest), pair, -1)
        shared[is_inside | (bandwidth == 0)] = -1
        return PairLinks(capacity, shared, num_bytes)

    def capacity_of(self, index: int) -> Shared:
        """Return a shared capacity that `between` has numbered."""
        cluster, num_ends, num_trunks = self._cluster, len(self.ends), len(self._trunks)
        if index < 2 * num_ends:
            way, place = divmod(index, num_ends)
            name = self.ends[place]
            end = cluster.coordinator if name == COORDINATOR else cluster.host_by_name[name]
            if way == 0:
                return Shared(f"nic-out:{name}", end.nic_out_bytes_per_s)
            return Shared(f"nic-in:{name}", end.nic_in_bytes_per_s)
        if index < 2 * num_ends + num_trunks:
            over = self._trunks[index - 2 * num_ends]
            return Shared(f"trunk:{over.source}>{over.target}", over.trunk_bytes_per_s or 0)
        source, target = divmod(index - 2 * num_ends - num_trunks, num_ends)
        rule = cluster.links[self._rule[source, target]]
        name = f"pair:{self.ends[source]}>{self.ends[target]}"
        return Shared(name, rule.bandwidth_bytes_per_s)


def _floats(amounts: Iterable[float]) -> Floats:
    return np.array(list(amounts), dtype=np.float64)


def _rules(cluster: Cluster, position: dict[str, int]) -> NDArray[np.int32]:
    """Return the position of the rule of each pair of ends, or -1; of shape (ends, ends).

    The most specific rules are written last: host to host, before that host to site, site to host
    and site to site.
    """
    at_site: dict[str, list[int]] = {}
    for name, place in position.items():
        at_site.setdefault(cluster.site_of(name), []).append(place)
    sites = {site: np.array(places) for site, places in at_site.items()}
    rules = np.full((len(position), len(position)), _NO_RULE, dtype=np.int32)
    for is_host in ((False, False), (False, True), (True, False), (True, True)):
        for number, link in enumerate(cluster.links):
            ends = _ends(link, is_host, position, sites)
            if ends is not None:
                rules[ends] = number
    return rules


def _ends(
    link: Link,
    is_host: tuple[bool, bool],
    position: dict[str, int],
    sites: dict[str, Ints],
) -> tuple[NDArray[np.int64], ...] | tuple[int, int] | None:
    """Return the index of the pairs that a rule names, its ends taken for hosts or for sites."""
    found: list[int | Ints] = []
    for name, as_host in zip((link.source, link.target), is_host, strict=True):
        places = position.get(name) if as_host else sites.get(name)
        if places is None:
            return None
        found.append(places)
    source, target = found
    if isinstance(source, int) and isinstance(target, int):
        return source, target
    return np.ix_(np.atleast_1d(source), np.atleast_1d(target))
