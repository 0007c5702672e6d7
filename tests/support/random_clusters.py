"""Random clusters from a seed: tiny ones to try every placement of, and wild ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from support.clusters import FAST, device_type, link, profile, tiny_model
from support.dice import Dice

from hexplan.cluster import (
    COORDINATOR,
    Cluster,
    Coordinator,
    Exclusion,
    GroupPin,
    LayerPin,
    Limits,
    Link,
    Profile,
)
from hexplan.device import DeviceType
from hexplan.host import Host, Interconnect, Spot
from hexplan.model import Model
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload


@dataclass(frozen=True, slots=True)
class Dials:
    """How large and how extreme the clusters are."""

    layers: tuple[int, int]
    hosts: tuple[int, int]
    devices: int
    """Of one host, at most."""
    total: int
    """Of all hosts, at most, but each host has one."""
    rates: tuple[float, float]
    """Of stages and links, in tokens/s."""
    memory: tuple[float, float]
    """Of a device, in bytes; small ones hold few layers."""
    is_wild: bool
    """Whether models, pins, prices and lengths vary, too."""


SMALL = Dials((2, 3), (2, 3), 2, 3, (10.0, 1000.0), (1e9, 1e9), False)
TINY = Dials((2, 4), (2, 4), 3, 4, (10.0, 1000.0), (1e9, 1e9), False)
WILD = Dials((1, 8), (1, 6), 5, 12, (1e-3, 1e6), (1e6, 1e11), True)


def random_spec(seed: int, dials: Dials, time_s: float) -> Spec:
    """Return the same cluster for the same seed."""
    dice = Dice(seed)
    model = _wild_model(dice, dials) if dials.is_wild else tiny_model(dice.number(*dials.layers))
    types = [_device(dice, dials, f"d{i}") for i in range(dice.number(1, 3))]
    hosts = _hosts(dice, dials, types)
    cluster = Cluster(
        name=f"random {seed}",
        hosts=hosts,
        coordinator=_coordinator(dice, dials, hosts),
        links=_links(dice, dials, model, hosts),
        device_types=tuple(types),
        profiles=_profiles(dice, dials, model, types),
        limits=Limits(solve_time_s=time_s),
    )
    lengths = Lengths(mean=64, max=64)
    spec = Spec(cluster, model, Workload(prompt_tokens=lengths, output_tokens=lengths))
    return _wishful(dice, spec) if dials.is_wild else spec


def _wild_model(dice: Dice, dials: Dials) -> Model:
    """Draw small and huge layers, and head counts that stop many degrees."""
    kv_heads = dice.pick([1, 2, 3, 4, 5, 8])
    base = tiny_model(dice.number(*dials.layers), kv_heads)
    changes = {
        "hidden": dice.pick([8, 64, 64, 4096]),
        "ffn": dice.pick([2, 100, 11008]),
        "vocab": dice.pick([3, 256, 32000]),
        "heads": kv_heads * dice.pick([1, 2, 4]),
    }
    return base.model_copy(update=changes)


def _device(dice: Dice, dials: Dials, name: str) -> DeviceType:
    memory = int(dice.scale(*dials.memory))
    return device_type(name, memory, int(dice.scale(1e6, 1e12 if dials.is_wild else 1e8)))


def _hosts(dice: Dice, dials: Dials, types: Sequence[DeviceType]) -> tuple[Host, ...]:
    sites = "abc"[: dice.number(1, 3)]
    left = dials.total
    hosts = []
    count = dice.number(*dials.hosts)
    for i in range(count):
        size = dice.number(1, max(1, min(dials.devices, left - (count - 1 - i))))
        left -= size
        nic_in, nic_out = (_nic(dice, dials) for _ in range(2))
        hosts.append(
            Host(
                name=f"h{i}",
                site=dice.pick(sites),
                devices=tuple(dice.pick(types).name for _ in range(size)),
                interconnect=_interconnect(dice, dials) if size > 1 else None,
                nic_in_bytes_per_s=nic_in,
                nic_out_bytes_per_s=nic_out,
            )
        )
    return tuple(hosts)


def _interconnect(dice: Dice, dials: Dials) -> Interconnect:
    bandwidth = FAST if dice.chance(0.6) else _bytes(dice, dials, 128)
    return Interconnect(bandwidth_bytes_per_s=bandwidth, latency_s=dice.exact(1e-7, 1e-4))


def _bytes(dice: Dice, dials: Dials, token_bytes: int) -> int:
    """Draw a bandwidth that carries some tokens/s."""
    return max(1, int(dice.scale(*dials.rates) * token_bytes))


def _nic(dice: Dice, dials: Dials) -> int:
    return FAST if dice.chance(0.7) else _bytes(dice, dials, 128)


def _coordinator(dice: Dice, dials: Dials, hosts: Sequence[Host]) -> Coordinator:
    nic_in, nic_out = (FAST if dice.chance(0.8) else _bytes(dice, dials, 4) for _ in range(2))
    site = dice.pick(hosts).site
    return Coordinator(site=site, nic_in_bytes_per_s=nic_in, nic_out_bytes_per_s=nic_out)


def _links(dice: Dice, dials: Dials, model: Model, hosts: Sequence[Host]) -> tuple[Link, ...]:
    """Draw rules between sites, pairs of hosts, and the coordinator and sites, some missing."""
    sites = sorted({host.site for host in hosts})
    names = [host.name for host in hosts]
    wide = model.hidden * model.dtype_bytes
    ends = [(a, b, wide, 0.9 if a != b else 0.97) for a in sites for b in sites]
    ends += [(a, b, wide, 0.12) for a in names for b in [*names, *sites] if a != b]
    ends += [(COORDINATOR, b, 4, 0.85) for b in sites]
    ends += [(a, COORDINATOR, 4, 0.85) for a in sites]
    rules = []
    for source, target, token_bytes, share in ends:
        if dice.chance(share):
            rules.append(_rule(dice, dials, (source, target), token_bytes))
    return tuple(rules)


def _rule(dice: Dice, dials: Dials, ends: tuple[str, str], token_bytes: int) -> Link:
    bandwidth = FAST if dice.chance(0.4) else _bytes(dice, dials, token_bytes)
    trunk = _bytes(dice, dials, token_bytes) if dice.chance(0.2) else None
    rule = link(*ends, bandwidth, trunk)
    allow = dice.pick(["tokens", "none"]) if dice.chance(0.08) else "all"
    return rule.model_copy(update={"allow": allow})


def _profiles(
    dice: Dice, dials: Dials, model: Model, types: Sequence[DeviceType]
) -> tuple[Profile, ...]:
    """Measure most groups of like devices, for some layers each; the rest is by the datasheet."""
    found = []
    for device in types:
        if dice.chance(0.25):
            continue
        for tp in range(1, dials.devices + 1):
            if dice.chance(0.85):
                table = [
                    dice.scale(*dials.rates)
                    for _ in range(
                        dice.number(1 if dice.chance(0.3) else model.layers, model.layers)
                    )
                ]
                found.append(profile(device.name, sorted(table, reverse=True), tp))
    return tuple(found)


def _wishful(dice: Dice, spec: Spec) -> Spec:
    """Add pins, exclusions, prices and unlike lengths to some."""
    cluster, layers = spec.cluster, spec.model.layers
    names = [host.name for host in cluster.hosts]
    pinned = dice.some(names, 2) if dice.chance(0.2) else []
    loose = [name for name in names if name not in pinned]
    excluded = dice.some(loose, 2) if dice.chance(0.2) else []
    tied = [host for host in cluster.hosts if len(host.devices) > 1 and dice.chance(0.2)]
    wishes = {
        "layer_pins": tuple(_layer_pin(dice, name, layers) for name in pinned),
        "exclusions": tuple(Exclusion(host=n, device=dice.pick([None, 0])) for n in excluded),
        "group_pins": tuple(
            GroupPin(host=host.name, devices=(0, len(host.devices) - 1))
            for host in tied
            if host.name not in excluded
        ),
        "limits": spec.cluster.limits.model_copy(
            update={"memory_fraction": dice.pick([Decimal("0.9"), Decimal(1), Decimal("0.3")])}
        ),
    }
    prompt, output = (dice.pick([1, 64, 2000]) for _ in range(2))
    workload = Workload(
        prompt_tokens=Lengths(mean=prompt, max=prompt * dice.pick([1, 3])),
        output_tokens=Lengths(mean=output, max=output),
    )
    return replace(spec, cluster=cluster.model_copy(update=wishes), workload=workload)


def _layer_pin(dice: Dice, name: str, layers: int) -> LayerPin:
    first = dice.number(0, layers - 1)
    return LayerPin(host=name, layers=(first, dice.number(first + 1, layers)))


def with_prices(spec: Spec, seed: int) -> Spec:
    """Return the spec with a rate, prices and some spot offers, to be planned for cost."""
    dice = Dice(seed)
    hosts = tuple(
        host.model_copy(
            update={
                "price_usd_per_h": dice.exact(1e-2, 1e2),
                "spot": Spot(price_usd_per_h=dice.exact(1e-3, 1e2), availability=Decimal("0.7"))
                if dice.chance(0.2)
                else None,
            }
        )
        for host in spec.cluster.hosts
    )
    workload = spec.workload.model_copy(update={"request_rate_per_s": dice.scale(1e-6, 1e2)})
    cluster = spec.cluster.model_copy(update={"hosts": hosts})
    return replace(spec, cluster=cluster, workload=workload, objective="cost")
