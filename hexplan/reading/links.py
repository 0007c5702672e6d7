"""Link rules of a cluster.yaml, with ends checked and ranges of hosts expanded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from hexplan.cluster import COORDINATOR, Link
from hexplan.reading.names import expand
from hexplan.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hexplan.cluster import Cluster
    from hexplan.reading.locate import Locator
    from hexplan.reading.text.cluster_text import LinkText
    from hexplan.wording import KeyPath

MAX_LINKS = 100_000
"""The most pairs that all rules together may name. A plan repeats each in about 250 bytes, so these
take 25 of the 64 MB that a plan may have; larger clusters write rules for sites."""
_FEWER = "write the rules for sites instead of hosts"


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a link rule, as the file writes it."""

    name: str
    path: KeyPath
    """The field that names it."""


@dataclass(frozen=True, slots=True)
class Places:
    """What the ends of links may name."""

    hosts: frozenset[str]
    """Names of hosts."""
    sites: frozenset[str]
    """Names of sites."""


def read_links(texts: tuple[LinkText, ...], places: Places, at: Locator) -> tuple[Link, ...]:
    """Return the one-way rules that the file's rules stand for."""
    links: dict[tuple[str, str], Link] = {}
    line_of: dict[tuple[str, str], int] = {}
    for index, text in enumerate(texts):
        path = ("links", index)
        for source, target in _pairs(text, places, path, at):
            if (source, target) in links:
                line = line_of[source, target]
                problem = f"found a second rule from '{source}' to '{target}', first at line {line}"
                raise at.error(path, problem, hint="keep one of them")
            line_of[source, target] = at.line(path)
            links[source, target] = _link(source, target, text)
        if len(links) > MAX_LINKS:
            raise at.error(path, f"found more than {MAX_LINKS} pairs in all rules", hint=_FEWER)
    return tuple(links.values())


def read_trusted(names: tuple[str, ...], places: Places, at: Locator) -> tuple[str, ...]:
    """Return the sites inside of which hosts need not encrypt, each once."""
    for index, name in enumerate(names):
        _check_site(name, places, ("trusted", index), at)
    return tuple(dict.fromkeys(names))


def check_reach(cluster: Cluster, at: Locator) -> None:
    """Refuse a cluster in which no host is linked with the coordinator in both directions."""
    names = [host.name for host in cluster.hosts]
    has_entry = any(cluster.link(COORDINATOR, name) for name in names)
    has_exit = any(cluster.link(name, COORDINATOR) for name in names)
    if has_entry and has_exit:
        return
    way = "from any host to the coordinator" if has_entry else "from the coordinator to any host"
    site = cluster.coordinator.site
    raise at.error(
        ("links",),
        f"found no link {way}, needed one in each direction",
        hint=f"such as `{{between: [coordinator, {cluster.hosts[0].site}], bandwidth: 10Gbps,"
        f" latency: 1ms}}`; `within: {site}` joins it with the hosts of its own site",
    )


def _link(source: str, target: str, text: LinkText) -> Link:
    return Link(
        source=source,
        target=target,
        bandwidth_bytes_per_s=text.bandwidth,
        latency_s=text.latency,
        trunk_bytes_per_s=text.trunk,
        allow=text.allow,
        compress=text.compress,
    )


def _pairs(
    text: LinkText, places: Places, path: KeyPath, at: Locator
) -> tuple[tuple[str, str], ...]:
    """Return each source and target of one rule once."""
    if text.within is not None:
        _check_site(text.within, places, (*path, "within"), at)
        return ((text.within, text.within),)
    source, target = _ends(text, path)
    sources = _named(source, places, at)
    targets = _named(target, places, at)
    if len(sources) * len(targets) > MAX_LINKS:
        problem = f"found {len(sources)} x {len(targets)} pairs, needed at most {MAX_LINKS}"
        raise at.error(path, problem, hint=_FEWER)
    pairs = list(_without_loops(sources, targets, places))
    if not pairs:
        raise at.error(path, f"found a link from '{source.name}' to itself, needed two ends")
    if text.between is not None:
        pairs += [(end, start) for start, end in pairs]
    if text.trunk is not None and len(sources) * len(targets) > 1:
        problem = "found a `trunk` on a rule for a range of hosts, needed one between two ends"
        raise at.error((*path, "trunk"), problem, hint="write the rule for the hosts' site")
    return tuple(dict.fromkeys(pairs))


def _ends(text: LinkText, path: KeyPath) -> tuple[_End, _End]:
    if text.between is not None:
        source, target = text.between
        return _End(source, (*path, "between", 0)), _End(target, (*path, "between", 1))
    return _End(text.from_ or "", (*path, "from")), _End(text.to or "", (*path, "to"))


def _without_loops(
    sources: tuple[str, ...], targets: tuple[str, ...], places: Places
) -> Iterator[tuple[str, str]]:
    """Yield all pairs, without those of a host with itself."""
    for source, target in product(sources, targets):
        if source != target or source in places.sites:
            yield source, target


def _named(end: _End, places: Places, at: Locator) -> tuple[str, ...]:
    """Return the hosts of a range, or the one host, site or coordinator."""
    names = expand(end.name)
    for name in names:
        is_place = name in places.hosts or (name == end.name and name in places.sites)
        if not is_place and name != COORDINATOR:
            known = (*places.hosts, *places.sites, COORDINATOR)
            problem = f"found '{name}', needed a host, a site, or `{COORDINATOR}`"
            raise at.error(end.path, problem, hint=did_you_mean(name, sorted(known)))
    return names


def _check_site(name: str, places: Places, path: KeyPath, at: Locator) -> None:
    if name not in places.sites:
        kind = "the host " if name in places.hosts else ""
        problem = f"found {kind}'{name}', needed a site"
        raise at.error(path, problem, hint=did_you_mean(name, sorted(places.sites)))
