"""Generated clusters that nobody would buy: odd hosts, and NICs and links that bind.

Five families: `lab` has odd hosts behind one switch, `sites` some odd hosts on up to four sites,
`wan` five sites with links in one direction and asymmetric NICs, `pairs` hosts with a rule for
nearly every pair, `large` 300 hosts of ten kinds with 5,500 rules for pairs. A seed is a cluster;
the same seed gives the same text on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

KINDS = ("A10", "L4", "A40", "T4", "RTX-4090", "RTX-3090", "L40S")
MODELS = ("qwen3-32b", "llama-3.1-70b", "mixtral-8x7b")
NICS_GBPS = (0.5, 1, 2.5, 10, 25)


def odd_spec(family: str, seed: int) -> str:
    """Return the cluster.yaml of a family's cluster."""
    rng = random.Random(f"{family}-{seed}")  # noqa: S311 - a cluster, not a secret
    head = [
        "version: 1",
        f"name: {family}-{seed}",
        "objective: throughput",
        f"model: {rng.choice(MODELS)}",
        "workload:",
        "  prompt_tokens: {mean: 900, max: 4096}",
        "  output_tokens: {mean: 250, max: 1500}",
        "hosts:",
    ]
    return "\n".join(head + FAMILIES[family](rng)) + "\n"


def _lab(rng: random.Random) -> list[str]:
    count = rng.randint(8, 14)
    hosts = [_host(rng, f"h{i}", "lab", rng.choice((1, 2.5, 10))) for i in range(count)]
    rate = rng.choice((1, 2.5, 10))
    return [*hosts, "coordinator: {site: lab, nic: 10Gbps}", "links:", _within("lab", rate)]


def _sites(rng: random.Random) -> list[str]:
    sites = [f"s{i}" for i in range(rng.randint(1, 4))]
    count = rng.randint(6, 14)
    hosts = [
        _host(rng, f"h{i}", sites[i % len(sites)], rng.choice(NICS_GBPS)) for i in range(count)
    ]
    links = [_within(site, rng.choice((1, 2.5, 10))) for site in sites]
    for i, one in enumerate(sites):
        for other in sites[i + 1 :]:
            if rng.random() < 0.5:
                links.append(_between(rng, f"between: [{one}, {other}]", (50, 100, 300, 1000)))
            else:
                links.append(_between(rng, f"from: {one}, to: {other}", (50, 100, 300)))
                links.append(_between(rng, f"from: {other}, to: {one}", (20, 80, 500)))
    return [*hosts, f"coordinator: {{site: {sites[0]}, nic: 10Gbps}}", "links:", *links]


def _wan(rng: random.Random) -> list[str]:
    sites = ("ams", "ber", "cdg", "dub", "edi")
    hosts = []
    for site in sites:
        for i in range(rng.randint(1, 4)):
            into, out = (rng.choice((80, 150, 300, 1000, 10_000)) for _ in range(2))
            hosts.append(_host(rng, f"{site}-{i}", site, f"{{in: {into}Mbps, out: {out}Mbps}}"))
    links = [_within(site, rng.choice((1, 5, 10))) for site in sites]
    for one in sites:
        for other in sites:
            if one != other and rng.random() < 0.6:
                trunk = ", trunk: 120Mbps" if rng.random() < 0.2 else ""
                ends = f"from: {one}, to: {other}"
                links.append(_between(rng, ends, (20, 60, 150, 300, 1000), trunk))
    return [*hosts, "coordinator: {site: ams, nic: 1Gbps}", "links:", *links]


def _pairs(rng: random.Random, count: int = 24) -> list[str]:
    names = [f"h{i}" for i in range(count)]
    hosts = [_host(rng, name, "dc", rng.choice((10, 25, 100))) for name in names]
    links = [_within("dc", 10)]
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if rng.random() < 0.7:
                ends = f"between: [{one}, {other}]"
                links.append(_between(rng, ends, (500, 1000, 2500, 5000, 10_000)))
    return [*hosts, "coordinator: {site: dc, nic: 25Gbps}", "links:", *links]


def large_text(rng: random.Random, num_rules: int, count: int = 300) -> list[str]:
    """Return the hosts of ten kinds and the links of a large cluster with so many pair rules."""
    kinds = [(_devices(rng, 4), rng.choice((10, 25, 100))) for _ in range(10)]
    names = [f"h{i:03}" for i in range(count)]
    hosts = []
    for name in names:
        devices, nic = rng.choice(kinds)
        hosts.append(_host_line(name, "dc", devices, f"{nic}Gbps"))
    pairs = rng.sample(list(combinations(names, 2)), num_rules)
    rates = (500, 1000, 2500, 5000, 10_000)
    links = [_between(rng, f"between: [{one}, {other}]", rates) for one, other in sorted(pairs)]
    coordinator = "coordinator: {site: dc, nic: 100Gbps}"
    return [*hosts, coordinator, "links:", _within("dc", 10), *links]


def _large(rng: random.Random) -> list[str]:
    return large_text(rng, 5500)


FAMILIES: Mapping[str, Callable[[random.Random], list[str]]] = MappingProxyType(
    {"lab": _lab, "sites": _sites, "wan": _wan, "pairs": _pairs, "large": _large}
)
"""What draws the hosts, the coordinator and the links of each family."""


def _host(rng: random.Random, name: str, site: str, nic: float | str) -> str:
    speed = nic if isinstance(nic, str) else f"{nic}Gbps"
    return _host_line(name, site, _devices(rng, 5), speed)


def _devices(rng: random.Random, most: int) -> str:
    mix = rng.sample(KINDS, rng.choice((1, 1, 2, 2, 3)))
    return ", ".join(f"{rng.randint(1, most)} x {kind}" for kind in mix)


def _host_line(name: str, site: str, devices: str, speed: str) -> str:
    fields = f"name: {name}, site: {site}, devices: [{devices}], interconnect: pcie4, nic: {speed}"
    return f"  - {{{fields}}}"


def _within(site: str, rate_gbps: float) -> str:
    return f"  - {{within: {site}, bandwidth: {rate_gbps}Gbps, latency: 0.3ms}}"


def _between(rng: random.Random, ends: str, rates_mbps: Sequence[int], trunk: str = "") -> str:
    latency_ms = rng.randint(1, 40)
    bandwidth = rng.choice(rates_mbps)
    return f"  - {{{ends}, bandwidth: {bandwidth}Mbps, latency: {latency_ms}ms{trunk}}}"
