"""Findings held against the spec: what is worse than it says, by stated thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from hexplan.catalog.driver_names import catalog_name
from hexplan.catalog.shipped import find_device
from hexplan.cluster import COORDINATOR, Cluster
from hexplan.device import DeviceType
from hexplan.frozen_model import FrozenModel
from hexplan.host import Host
from hexplan.measured.findings import Accelerator, Findings, HostFinding, Inventory, LinkFinding

SLOW_SHARE: Final = 0.8
"""Less than this share of the spec's bandwidth is worse."""
LATE_FACTOR: Final = 1.5
"""More than this times the spec's latency is worse..."""
LATE_S: Final = 1e-4
"""...if it is more by this, too: short latencies are mostly software."""
MEMORY_SHARE: Final = 0.98
"""Less than this share of the spec's memory is another device."""
_SEEN_KINDS = ("cuda", "rocm")
_GIB = 2**30
_STEP = 2**26
"""Memory in use is rounded up to this."""


class LinkComparison(FrozenModel):
    """One way between two hosts, as found and as the spec has it."""

    found: LinkFinding
    """What was measured."""
    spec_latency_s: float
    """One-way latency of the spec."""
    spec_bandwidth_bytes_per_s: int
    """The least of what the spec's rule, trunk and network cards carry."""
    latency_ratio: float | None
    """Found by spec; nothing where either is missing or none."""
    bandwidth_ratio: float | None
    """Found by spec."""
    is_slow: bool
    """Whether it carries clearly less than the spec says."""
    is_late: bool
    """Whether it takes clearly longer than the spec says."""

    @property
    def is_worse(self) -> bool:
        """Whether either figure is clearly worse."""
        return self.is_slow or self.is_late


class HostComparison(FrozenModel):
    """One host, as found and as the spec has it."""

    found: HostFinding
    """What was found."""
    spec_devices: tuple[str, ...]
    """Its devices in the spec, in index order."""
    in_use_bytes: tuple[int, ...] | None = None
    """Memory that others take of each device; nothing where the devices are not those expected."""
    differences: tuple[str, ...] = ()
    """What a plan would stumble over."""


class Comparison(FrozenModel):
    """All that a probe found, held against the spec."""

    cluster: str
    """Name of the cluster."""
    findings: Findings
    """What was found."""
    links: tuple[LinkComparison, ...]
    """Every link that was tried."""
    hosts: tuple[HostComparison, ...]
    """Every host."""

    @property
    def num_unreachable(self) -> tuple[int, int]:
        """Numbers of hosts and of links that could not be reached."""
        hosts = sum(host.found.problem is not None for host in self.hosts)
        return hosts, sum(link.found.problem is not None for link in self.links)

    @property
    def num_different(self) -> tuple[int, int]:
        """Numbers of hosts that differ and of links that are worse."""
        return sum(bool(host.differences) for host in self.hosts), sum(
            link.is_worse for link in self.links
        )


def compare(cluster: Cluster, findings: Findings) -> Comparison:
    """Hold findings against the cluster that was probed."""
    return Comparison(
        cluster=cluster.name,
        findings=findings,
        links=tuple(_link(cluster, link) for link in findings.links),
        hosts=tuple(_host(cluster, host, findings) for host in findings.hosts),
    )


def _link(cluster: Cluster, found: LinkFinding) -> LinkComparison:
    latency_s, bandwidth = _expected(cluster, found.source, found.target)
    late = found.latency_s
    carried = found.bandwidth_bytes_per_s
    return LinkComparison(
        found=found,
        spec_latency_s=latency_s,
        spec_bandwidth_bytes_per_s=bandwidth,
        latency_ratio=late / latency_s if late is not None and latency_s else None,
        bandwidth_ratio=carried / bandwidth if carried is not None else None,
        is_slow=carried is not None and carried < SLOW_SHARE * bandwidth,
        is_late=late is not None and late > max(LATE_FACTOR * latency_s, latency_s + LATE_S),
    )


def _expected(cluster: Cluster, source: str, target: str) -> tuple[float, int]:
    """Return the latency and the bandwidth that one pair alone can expect by the spec."""
    rule = cluster.rule(source, target)
    assert rule is not None, "only what the spec connects is probed"
    sender = cluster.coordinator if source == COORDINATOR else cluster.host_by_name[source]
    receiver = cluster.coordinator if target == COORDINATOR else cluster.host_by_name[target]
    narrowest = min(
        rule.bandwidth_bytes_per_s,
        cluster.over(rule).trunk_bytes_per_s or rule.bandwidth_bytes_per_s,
        sender.nic_out_bytes_per_s,
        receiver.nic_in_bytes_per_s,
    )
    return float(rule.latency_s), narrowest


def _host(cluster: Cluster, found: HostFinding, findings: Findings) -> HostComparison:
    host = cluster.host_by_name[found.host]
    if found.machine is None:
        return HostComparison(found=found, spec_devices=host.devices)
    return HostComparison(
        found=found,
        spec_devices=host.devices,
        in_use_bytes=_in_use_bytes(_types(cluster, host), found.machine),
        differences=tuple(_differences(cluster, host, found.machine, findings)),
    )


def _in_use_bytes(types: list[DeviceType], machine: Inventory) -> tuple[int, ...] | None:
    """Return what is taken of each device, where the devices found are those of the spec."""
    devices = machine.accelerators
    if len(devices) != len(types) or any(kind.kind not in _SEEN_KINDS for kind in types):
        return None
    pairs = zip(devices, types, strict=True)
    return tuple(min(_used_bytes(device, kind), kind.memory_bytes) for device, kind in pairs)


def _types(cluster: Cluster, host: Host) -> list[DeviceType]:
    return [cluster.device_type_by_name[name] for name in host.devices]


def _used_bytes(device: Accelerator, spec: DeviceType) -> int:
    """Return what others take of a device, in steps that keep like hosts alike.

    What driver and framework take counts for a plan anyway, and the probing process has it too.
    """
    used_bytes = device.memory_bytes - device.free_bytes - spec.overhead_bytes
    return -(-max(0, used_bytes) // _STEP) * _STEP


def _differences(
    cluster: Cluster, host: Host, machine: Inventory, findings: Findings
) -> Iterator[str]:
    for name in ("torch", "hexplan"):
        there, here = getattr(machine, name), getattr(findings, name)
        if there != here:
            yield f"{name} {there}, and {here} on this machine"
    types, share = _types(cluster, host), cluster.limits.memory_fraction
    expected = [kind for kind in types if kind.kind in _SEEN_KINDS]
    if expected and len(expected) != len(machine.accelerators):
        found = _count(len(machine.accelerators), "accelerator")
        yield f"{found} found, {len(expected)} in the spec"
    elif expected:
        for index, pair in enumerate(zip(machine.accelerators, expected, strict=True)):
            yield from _device_differences(index, *pair, share)
    slots = [kind for kind in types if kind.kind == "cpu"]
    if slots:
        yield from _slot_differences(machine, slots, share)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _device_differences(
    index: int, found: Accelerator, spec: DeviceType, share: Decimal
) -> Iterator[str]:
    name = catalog_name(found.name)
    known = spec.profile_name
    wanted_bytes = int((spec.memory_bytes - spec.in_use_bytes) * share)
    if name is not None and find_device(known) is not None and name != known:
        yield f"device {index} is {name}, and {known} in the spec"
    elif found.memory_bytes < MEMORY_SHARE * spec.memory_bytes:
        sizes = f"{_gib(found.memory_bytes)}, {_gib(spec.memory_bytes)} in the spec"
        yield f"device {index} ({found.name}) has {sizes}"
    elif found.free_bytes + spec.overhead_bytes < wanted_bytes:
        used, wanted = _gib(_used_bytes(found, spec)), _gib(wanted_bytes)
        left = _gib(found.free_bytes)
        yield f"device {index}: {used} are in use; {left} are free of the {wanted} to plan with"


def _slot_differences(machine: Inventory, slots: list[DeviceType], share: Decimal) -> Iterator[str]:
    if machine.cores < len(slots):
        yield f"{_count(machine.cores, 'core')} for {len(slots)} CPU devices"
    wanted = int(sum(slot.memory_bytes for slot in slots) * share)
    if machine.free_bytes < wanted:
        yield f"{_gib(machine.free_bytes)} are free of the {_gib(wanted)} to plan with"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / _GIB:.1f} GiB"
