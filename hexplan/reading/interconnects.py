"""The interconnect of a host: a known link by its name, or given numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexplan.catalog.interconnects import interconnect_of
from hexplan.catalog.shipped import find_link
from hexplan.host import Interconnect
from hexplan.reading.text.cluster_text import InterconnectText

if TYPE_CHECKING:
    from hexplan.reading.locate import Locator
    from hexplan.reading.text.cluster_text import HostText
    from hexplan.wording import KeyPath


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
        return Interconnect(
            bandwidth_bytes_per_s=name.bandwidth,
            latency_s=name.latency,
            exchange_latency_s=name.exchange_latency,
        )
    if name == "nvlink":
        return _own_link(devices, (*path, "interconnect"), at)
    return interconnect_of(name)


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
    return interconnect_of(link.kind, link.bandwidth_bytes_per_s)
