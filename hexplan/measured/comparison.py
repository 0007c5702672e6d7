"""Compare findings with the spec: what is worse than it says, by stated thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from hexplan.catalog.driver_names import catalog_name
from hexplan.catalog.shipped import find_device
from hexplan.cluster import COORDINATOR, Cluster
from hexplan.device import DeviceType
from hexplan.frozen_model import FrozenModel
from hexplan.host import Host
from hexplan.measured.findings import Accelerator, Findings, HostFinding, Inventory, LinkFinding
from hexplan.units import GIB, MIB

_SEEN_KINDS = ("cuda", "rocm")
_IN_USE_STEP_BYTES: Final = 64 * MIB
"""Memory in use is rounded up to a multiple of this, so that like hosts stay alike."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How much worse than the spec a finding must be to be reported.

    All of them are conventions: wide enough that the noise of a quiet network stays unreported.
    """

    slow_share: float = 0.8
    """A link is slow below this share of the spec's bandwidth."""
    late_factor: float = 1.5
    """A link is late above this multiple of the spec's latency..."""
    late_s: float = 1e-4
    """...if it also exceeds that latency by this: most of a short latency is software."""
    memory_share: float = 0.98
    """A device with less than this share of the spec's memory is another device."""


THRESHOLDS: Final = Thresholds()
"""The thresholds that `probe` uses and names."""


class LinkComparison(FrozenModel):
    """One direction between two hosts, as found and as the spec has it."""

    found: LinkFinding
    """What was measured."""
    spec_latency_s: float
    """One-way latency of the spec."""
    spec_bandwidth_bytes_per_s: int
    """The least of what the spec's rule, trunk and network cards carry."""
    latency_ratio: float | None
    """Found over spec; None if the link was not measured, or the spec's latency is 0."""
    bandwidth_ratio: float | None
    """Found over spec; None if the link was not measured."""
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
    """Memory of each device that other processes use; None if the devices differ from the spec."""
    differences: tuple[str, ...] = ()
    """What would break a plan, or make it wrong."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A number of hosts and a number of links."""

    hosts: int
    links: int

    def __bool__(self) -> bool:
        """Say whether either is above 0."""
        return bool(self.hosts or self.links)


class Comparison(FrozenModel):
    """All that a probe found, compared with the spec."""

    cluster: str
    """Name of the cluster."""
    findings: Findings
    """What was found."""
    links: tuple[LinkComparison, ...]
    """Every link that the probe tried."""
    hosts: tuple[HostComparison, ...]
    """Every host."""

    @property
    def unreachable(self) -> Counts:
        """How many hosts and links could not be reached."""
        return Counts(
            hosts=sum(host.found.problem is not None for host in self.hosts),
            links=sum(link.found.problem is not None for link in self.links),
        )

    @property
    def different(self) -> Counts:
        """How many hosts differ from the spec, and how many links are worse."""
        return Counts(
            hosts=sum(bool(host.differences) for host in self.hosts),
            links=sum(link.is_worse for link in self.links),
        )


def compare(cluster: Cluster, findings: Findings) -> Comparison:
    """Compare findings with the cluster that was probed."""
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
        is_slow=carried is not None and carried < THRESHOLDS.slow_share * bandwidth,
        is_late=late is not None and late > _latest_s(latency_s),
    )


def _latest_s(spec_latency_s: float) -> float:
    """Return the latency above which a link is late."""
    least_s = spec_latency_s + THRESHOLDS.late_s
    return max(THRESHOLDS.late_factor * spec_latency_s, least_s)


def _expected(cluster: Cluster, source: str, target: str) -> tuple[float, int]:
    """Return the latency and bandwidth that the spec promises a pair of hosts on its own."""
    rule = cluster.rule(source, target)
    assert rule is not None, "a probe tries only what the spec connects"
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
    """Return the memory in use of each device, if the devices found are those of the spec."""
    devices = machine.accelerators
    if len(devices) != len(types) or any(kind.kind not in _SEEN_KINDS for kind in types):
        return None
    pairs = zip(devices, types, strict=True)
    return tuple(min(_used_bytes(device, kind), kind.memory_bytes) for device, kind in pairs)


def _types(cluster: Cluster, host: Host) -> list[DeviceType]:
    return [cluster.device_type_by_name[name] for name in host.devices]


def _used_bytes(device: Accelerator, spec: DeviceType) -> int:
    """Return how much memory of a device other processes use.

    What the driver and the framework use is left out: a plan reserves it anyway, and the probing
    process has it too.
    """
    used_bytes = device.memory_bytes - device.free_bytes - spec.overhead_bytes
    return -(-max(0, used_bytes) // _IN_USE_STEP_BYTES) * _IN_USE_STEP_BYTES


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
    elif found.memory_bytes < THRESHOLDS.memory_share * spec.memory_bytes:
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
    return f"{num_bytes / GIB:.1f} GiB"
