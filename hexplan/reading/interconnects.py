"""The interconnect of a host: a known link by its name, or given numbers."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from hexplan.catalog.shipped import find_link
from hexplan.host import Interconnect
from hexplan.reading.text.cluster_text import InterconnectText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.reading.locate import Locator
    from hexplan.reading.text.cluster_text import HostText
    from hexplan.wording import KeyPath

NVLINK_LATENCY_S = Decimal("5e-6")
"""Start-up time of one message of a collective: assumed, not measured."""
PCIE_LATENCY_S = Decimal("45e-6")
"""The same over PCIe: what fits measured groups (benchmarks/roofline.py)."""

# Per device, in one direction. NVLink: half of the total on NVIDIA's datasheets of the V100
# (300 GB/s), A100 (600), H100 (900) and B200 (1800). PCIe: not what the slot carries, but what
# collectives reached through the memory of the host, on groups of T4 (PCIe 3) and L4 (PCIe 4) in
# a cloud, by benchmarks/roofline.py; PCIe 5 was not measured, and is taken to do as well.
_GB_PER_S: Mapping[str, Decimal] = MappingProxyType(
    {
        "nvlink2": Decimal(150),
        "nvlink3": Decimal(300),
        "nvlink4": Decimal(450),
        "nvlink5": Decimal(900),
        "pcie3": Decimal("4.5"),
        "pcie4": Decimal("4.5"),
        "pcie5": Decimal("4.5"),
    }
)


# A narrow slot may carry less than what collectives reach through the memory of the host. Of the
# rate of its lanes, transfers reach about 0.8: 12.5 of 15.75 GB/s over 16 lanes of PCIe 3 with
# NVIDIA's bandwidthTest. Thunderbolt tunnels PCIe: 22 Gb/s by Intel's brief for Thunderbolt 3; four
# lanes of PCIe 3 in version 4, and of PCIe 4 in version 5, by those of Thunderbolt 4 and 5.
_LANE_GB_PER_S: Mapping[str, Decimal] = MappingProxyType(
    {
        "pcie3": Decimal("0.985"),
        "pcie4": Decimal("1.969"),
        "pcie5": Decimal("3.938"),
        "pcie6": Decimal("7.563"),
    }
)
_SHARE_OF_LANES = Decimal("0.8")
_THUNDERBOLT_GB_PER_S: Mapping[str, Decimal] = MappingProxyType(
    {
        "thunderbolt3": Decimal("2.75"),
        "thunderbolt4": 4 * _LANE_GB_PER_S["pcie3"] * _SHARE_OF_LANES,
        "thunderbolt5": 4 * _LANE_GB_PER_S["pcie4"] * _SHARE_OF_LANES,
    }
)


def read_interconnect(
    text: HostText, devices: tuple[str, ...], path: KeyPath, at: Locator
) -> Interconnect | None:
    """Return what joins the devices of a host, or None where it has one device only."""
    name = text.interconnect
    if name is None and len(devices) > 1:
        raise at.error(
            path,
            f"found {len(devices)} devices and no `interconnect`, needed what joins them",
            hint="write `interconnect: nvlink`, `pcie4`, or `{bandwidth: 32GB/s, latency: 10us}`",
        )
    if len(devices) == 1 or name is None:
        return None
    if isinstance(name, InterconnectText):
        return Interconnect(bandwidth_bytes_per_s=name.bandwidth, latency_s=name.latency)
    if name == "nvlink":
        return _own_link(devices, (*path, "interconnect"), at)
    return _named(name)


def _named(name: str) -> Interconnect:
    return Interconnect(
        bandwidth_bytes_per_s=int(_gb_per_s(name) * 10**9),
        latency_s=NVLINK_LATENCY_S if name.startswith("nvlink") else PCIE_LATENCY_S,
    )


def _gb_per_s(name: str) -> Decimal:
    """Return the bandwidth of a named link; of a slot, no more than collectives reach."""
    through_host = _GB_PER_S["pcie5"]
    if name in _THUNDERBOLT_GB_PER_S:
        return min(through_host, _THUNDERBOLT_GB_PER_S[name])
    generation, _, lanes = name.partition("x")
    if lanes:
        in_slot = int(lanes) * _LANE_GB_PER_S[generation] * _SHARE_OF_LANES
        return min(_GB_PER_S.get(generation, through_host), in_slot)
    return _GB_PER_S.get(name, through_host)


def _own_link(devices: tuple[str, ...], path: KeyPath, at: Locator) -> Interconnect:
    """Return the NVLink that the datasheet of the devices states."""
    kinds = sorted(set(devices))
    if len(kinds) > 1:
        problem = f"found `nvlink` on a host with {' and '.join(kinds)}, needed one device type"
        raise at.error(path, problem, hint="name the link, or give its numbers")
    link = find_link(kinds[0])
    if link is None or not link.kind.startswith("nvlink"):
        hint = "give its numbers: `{bandwidth: ..., latency: ...}`"
        if link is not None:
            gb_per_s = f"{link.bandwidth_bytes_per_s / 1e9:g}GB/s"
            hint = (
                f"its datasheet says {link.kind}: write `{{bandwidth: {gb_per_s}, latency: 10us}}`"
            )
        problem = f"found `nvlink`, but the catalog knows no NVLink of {kinds[0]}"
        raise at.error(path, problem, hint=hint)
    if link.kind.endswith("-bridge") and len(devices) > 2:
        problem = (
            f"found `nvlink` on {len(devices)} x {kinds[0]}, whose NVLink bridge joins pairs only"
        )
        raise at.error(path, problem, hint="write `pcie4`, or give the link's numbers")
    return Interconnect(
        bandwidth_bytes_per_s=link.bandwidth_bytes_per_s, latency_s=NVLINK_LATENCY_S
    )
