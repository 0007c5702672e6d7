"""Overlays: files with measured figures, which replace those in a cluster.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hexplan.cluster import COORDINATOR, Cluster, Link
from hexplan.device import DeviceType
from hexplan.files.field_errors import explain, version_problem
from hexplan.files.yaml_reader import YamlDocument, read_yaml
from hexplan.reading.corrections import with_corrections
from hexplan.reading.links import MAX_LINKS
from hexplan.reading.locate import Locator
from hexplan.reading.named_files import NamedFile
from hexplan.reading.text.overlay_text import OverlayText
from hexplan.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hexplan.reading.text.overlay_text import OverlayHostText, OverlayLinkText
    from hexplan.wording import KeyPath

OVERLAY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Overlay:
    """One overlay file."""

    text: OverlayText
    """What it says."""
    at: Locator
    """Where errors are reported."""


def read_overlays(names: Sequence[str], folder: Path, at: Locator) -> Iterator[Overlay]:
    """Yield the overlays that a cluster.yaml names; paths are relative to its folder."""
    for index, name in enumerate(names):
        named = NamedFile(folder / name, "an overlay", ("overlays", index), at)
        yield _overlay(named.path, named.read_yaml(("version", "overlay")))


def read_overlay(file: Path) -> Overlay:
    """Read an overlay file, whatever cluster it is for."""
    return _overlay(file, read_yaml(file))


def _overlay(file: Path, document: YamlDocument) -> Overlay:
    at = Locator(str(file), document.lines)
    problem = version_problem(document.data.get("version"), OVERLAY_VERSION)
    if problem:
        raise at.errors([problem])
    try:
        return Overlay(OverlayText.model_validate(document.data), at)
    except ValidationError as error:
        raise at.errors(explain(error, OverlayText)) from error


def overlaid(cluster: Cluster, overlay: Overlay) -> Cluster:
    """Return the cluster with an overlay's figures in place of its own."""
    cluster = _with_links(cluster, overlay.text.links, overlay.at)
    cluster = _with_memory_in_use(cluster, overlay.text.hosts, overlay.at)
    return with_corrections(cluster, overlay.text.corrections, overlay.at)


def _with_links(cluster: Cluster, texts: Sequence[OverlayLinkText], at: Locator) -> Cluster:
    measured: dict[tuple[str, str], Link] = {}
    line_of: dict[tuple[str, str], int] = {}
    for index, text in enumerate(texts):
        path, ends = ("links", index), (text.from_, text.to)
        if ends in measured:
            problem = f"found a second link from '{text.from_}' to '{text.to}', first at line"
            raise at.error(path, f"{problem} {line_of[ends]}", hint="keep one of them")
        line_of[ends] = at.line(path)
        measured[ends] = _measured(cluster, text, path, at)
    kept = [measured.pop((link.source, link.target), link) for link in cluster.links]
    links = (*kept, *measured.values())
    if len(links) > MAX_LINKS:
        raise at.error(("links",), f"found {len(links)} pairs in all rules, needed {MAX_LINKS}")
    return cluster.model_copy(update={"links": links})


def _measured(cluster: Cluster, text: OverlayLinkText, path: KeyPath, at: Locator) -> Link:
    """Return the rule for two hosts: their own with new figures, or one under a wider rule."""
    ends = text.from_, text.to
    for field, end in zip(("from", "to"), ends, strict=True):
        if end != COORDINATOR:
            _check_host(end, cluster, (*path, field), at)
    rule = cluster.rule(*ends) if ends[0] != ends[1] else None
    if rule is None:
        problem = f"found a link from '{text.from_}' to '{text.to}', which nothing connects"
        hint = "an overlay only measures: connect them by a rule in the cluster file, or remove it"
        raise at.error(path, problem, hint=hint)
    is_own = (rule.source, rule.target) == ends
    return Link(
        source=text.from_,
        target=text.to,
        bandwidth_bytes_per_s=text.bandwidth,
        latency_s=text.latency,
        trunk_bytes_per_s=rule.trunk_bytes_per_s if is_own else None,
        allow=rule.allow if is_own else "all",
        under=rule.under if is_own else (rule.source, rule.target),
        compress=rule.compress,
    )


def _with_memory_in_use(cluster: Cluster, texts: Sequence[OverlayHostText], at: Locator) -> Cluster:
    """Return the cluster with the measured memory in use on the devices of its hosts."""
    line_of: dict[str, int] = {}
    shared: dict[str, tuple[DeviceType, ...]] = {}
    for index, text in enumerate(texts):
        path = ("hosts", index)
        _check_host(text.name, cluster, (*path, "name"), at)
        if text.name in line_of:
            problem = f"found the host '{text.name}' again, first at line {line_of[text.name]}"
            raise at.error((*path, "name"), problem, hint="keep one of them")
        line_of[text.name] = at.line(path)
        devices = cluster.host_by_name[text.name].devices
        if len(text.in_use) != len(devices):
            problem = f"found {len(text.in_use)} amounts, needed {len(devices)}, one per device"
            raise at.error((*path, "in_use"), problem)
        types = [cluster.device_type_by_name[name] for name in devices]
        for number, (used_bytes, device) in enumerate(zip(text.in_use, types, strict=True)):
            if used_bytes > device.memory_bytes:
                problem = f"found {used_bytes} bytes in use, needed at most {device.memory_bytes}"
                where = (*path, "in_use", number)
                raise at.error(where, f"{problem}, what the {device.profile_name} has")
        pairs = zip(types, text.in_use, strict=True)
        shared[text.name] = tuple(device.used_in_part(used_bytes) for device, used_bytes in pairs)
    return _with_devices(cluster, shared)


def _with_devices(cluster: Cluster, changed: Mapping[str, tuple[DeviceType, ...]]) -> Cluster:
    """Return the cluster with other device types on some hosts."""
    hosts = tuple(
        host.model_copy(update={"devices": tuple(device.name for device in changed[host.name])})
        if host.name in changed
        else host
        for host in cluster.hosts
    )
    types = cluster.device_type_by_name | {d.name: d for group in changed.values() for d in group}
    used = {name for host in hosts for name in host.devices}
    used |= {profile.device for profile in cluster.profiles}
    kept = tuple(types[name] for name in sorted(used) if name in types)
    return cluster.model_copy(update={"hosts": hosts, "device_types": kept})


def _check_host(name: str, cluster: Cluster, path: KeyPath, at: Locator) -> None:
    if name not in cluster.host_by_name:
        problem = f"found '{name}', needed a host of the cluster"
        raise at.error(path, problem, hint=did_you_mean(name, sorted(cluster.host_by_name)))
