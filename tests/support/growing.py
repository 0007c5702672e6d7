"""Small random clusters and the same with one device or one host more, planned for latency."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from support.clusters import GBIT, device_type, link, spec_of, tiny_model
from support.dice import Dice

from hexplan.cluster import Link
from hexplan.constants import MICRO
from hexplan.host import Host, Interconnect
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload
from hexplan_solver.bounds.work_bound import work_bound
from hexplan_solver.problem.problem import build_problem

TYPES = (
    device_type("slow", memory_bytes=20_000_000, speed=2 * 10**7),
    device_type("fast", memory_bytes=12_000_000, speed=5 * 10**7),
    device_type("large", memory_bytes=50_000_000, speed=3 * 10**7),
)
LOADS = (0.01, 0.2, 0.5)
"""Rates asked, as shares of a bound on what the smaller cluster carries."""


def growing(seed: int) -> tuple[Spec, Spec]:
    """Return a cluster that is asked for a rate, and the same with a device or a host more."""
    dice = Dice(seed)
    model = tiny_model(dice.number(4, 10), kv_heads=dice.pick([2, 4, 8]))
    model = model.model_copy(update={"hidden": 512, "ffn": 1024})
    sites = ["a", "b"][: dice.number(1, 2)]
    hosts = [_host(dice, f"h{i}", dice.pick(sites)) for i in range(dice.number(1, 3))]
    links = _links(dice, sites)
    last = hosts[-1]
    if dice.chance(0.5):
        wire = last.interconnect or _wire(dice)
        added = (*last.devices, dice.pick(TYPES).name)
        more = [*hosts[:-1], last.model_copy(update={"devices": added, "interconnect": wire})]
    else:
        more = [*hosts, _host(dice, "new", dice.pick(sites))]
    lengths = Lengths(mean=dice.pick([8, 64]), max=64)
    workload = Workload(prompt_tokens=lengths, output_tokens=Lengths(mean=32, max=32))
    load = dice.pick(LOADS)
    small, large = (
        _at_home(spec_of(model, some, types=TYPES, links=_between(some, links)), workload)
        for some in (hosts, more)
    )
    most = work_bound(build_problem(small)) / MICRO / workload.mean_tokens
    asked = workload.model_copy(update={"request_rate_per_s": max(1e-6, load * most)})
    return (
        replace(small, workload=asked, objective="latency"),
        replace(large, workload=asked, objective="latency"),
    )


def _between(hosts: list[Host], links: list[Link]) -> list[Link]:
    """Return the rules between sites that have hosts."""
    sites = {host.site for host in hosts}
    return [rule for rule in links if {rule.source, rule.target} <= sites]


def _at_home(spec: Spec, workload: Workload) -> Spec:
    """Let requests come to the first host's site, whatever the others are."""
    home = spec.cluster.hosts[0].site
    near = spec.cluster.coordinator.model_copy(update={"site": home})
    cluster = spec.cluster.model_copy(update={"coordinator": near})
    return replace(spec, cluster=cluster, workload=workload)


def _host(dice: Dice, name: str, site: str) -> Host:
    kinds = [dice.pick(TYPES).name for _ in range(dice.number(1, 2))]
    devices = tuple(dice.pick(kinds) for _ in range(dice.number(1, 4)))
    return Host(
        name=name,
        site=site,
        devices=devices,
        interconnect=_wire(dice),
        nic_in_bytes_per_s=10 * GBIT,
        nic_out_bytes_per_s=10 * GBIT,
    )


def _wire(dice: Dice) -> Interconnect:
    bandwidth = int(dice.scale(1e9, 1e11))
    return Interconnect(bandwidth_bytes_per_s=bandwidth, latency_s=dice.exact(1e-6, 1e-3))


def _links(dice: Dice, sites: list[str]) -> list[Link]:
    rules = []
    for source in sites:
        for target in sites:
            far = Decimal("0.0002") if source == target else dice.exact(1e-4, 1e-2)
            rules.append(link(source, target, GBIT).model_copy(update={"latency_s": far}))
    return rules
