"""Read a cluster.yaml into nouns, with every quantity in SI units and every range expanded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from hexplan.cluster import Cluster, Limits, Parallel, Profile
from hexplan.constants import HOP_OVERHEAD_S
from hexplan.device import DeviceType
from hexplan.files.field_errors import UNKNOWN_FIELD, FieldError, explain, version_problem
from hexplan.files.yaml_reader import YamlDocument, parse_yaml, read_yaml
from hexplan.model import Model
from hexplan.reading.devices import DeviceTable, read_devices
from hexplan.reading.hosts import (
    check_host_memory,
    read_coordinator,
    read_hosts,
    with_measured_links,
)
from hexplan.reading.joins import read_joins
from hexplan.reading.links import Places, check_reach, read_links, read_trusted
from hexplan.reading.locate import Locator
from hexplan.reading.models import read_model
from hexplan.reading.overlays import overlaid, read_overlay, read_overlays
from hexplan.reading.pins import PinReader
from hexplan.reading.profiles import Profiles, read_profiles
from hexplan.reading.text.cluster_text import ClusterText
from hexplan.reading.workloads import check_context, check_objective, read_workload
from hexplan.spec import Spec

SPEC_VERSION = 1
_LATER = frozenset(("kv_fraction",))
"""Fields that the format reserves and this version does not support."""


def read_spec(path: Path, overlays: Sequence[Path] = ()) -> Spec:
    """Return what the cluster.yaml at `path` says; paths in it are relative to its folder.

    Parameters
    ----------
    overlays
        Files with measured figures, applied after those that the cluster.yaml names. Where two
        files measured the same thing, the later one counts.
    """
    return _resolve(read_yaml(path), path, overlays)


def parse_spec(text: str, path: Path) -> Spec:
    """Return what the text of a cluster.yaml says, as if it stood at `path`."""
    return _resolve(parse_yaml(text, str(path)), path)


def _resolve(document: YamlDocument, path: Path, overlays: Sequence[Path] = ()) -> Spec:
    at = Locator(str(path), document.lines)
    text = _validated(document, at)
    model = read_model(text.model, path.parent, at)
    cluster = _read_cluster(text, model, path.parent, at)
    named = read_overlays(text.overlays, path.parent, at)
    for overlay in (*named, *map(read_overlay, overlays)):
        cluster = overlaid(cluster, overlay)
    check_objective(text, at)
    workload = read_workload(text.workload, path.parent, at)
    check_context(workload, model, at)
    return Spec(cluster, model, workload, text.objective)


def _validated(document: YamlDocument, at: Locator) -> ClusterText:
    problem = version_problem(document.data.get("version"), SPEC_VERSION)
    if problem:
        raise at.errors([problem])
    try:
        return ClusterText.model_validate(document.data)
    except ValidationError as error:
        raise at.errors(map(_mark_later, explain(error, ClusterText))) from error


def _mark_later(problem: FieldError) -> FieldError:
    if problem.path and problem.path[-1] in _LATER and problem.problem == UNKNOWN_FIELD:
        return replace(problem, problem="this field is not supported yet", hint="remove the line")
    return problem


def _read_cluster(text: ClusterText, model: Model, folder: Path, at: Locator) -> Cluster:
    table = read_devices(text.devices, at)
    hosts = read_hosts(text, table, at)
    used = {name: table.find(name, ("hosts",)) for host in hosts for name in host.devices}
    places = Places(
        hosts=frozenset(host.name for host in hosts),
        sites=frozenset((*(host.site for host in hosts), text.coordinator.site)),
    )
    pins = PinReader({host.name: host for host in hosts}, model.layers, at).read(text.pin)
    measured = Profiles()
    if text.profiles:
        measured = read_profiles(folder / text.profiles, model, table)
    hosts, profiles = with_measured_links(text, hosts, measured, used), measured.stages
    used |= _measured_types(profiles, used.values(), table)
    cluster = Cluster(
        name=text.name,
        hosts=hosts,
        coordinator=read_coordinator(text),
        links=read_links(text.links, places, at),
        trusted_sites=read_trusted(text.trusted, places, at),
        device_types=tuple(used[name] for name in sorted(used)),
        profiles=tuple(profile for profile in profiles if profile.device in used),
        layer_pins=tuple(pins.layers),
        group_pins=tuple(pins.groups),
        exclusions=tuple(pins.exclusions),
        limits=Limits(
            memory_fraction=text.limits.memory_fraction,
            chunk_tokens=text.limits.chunk_tokens,
            solve_time_s=float(text.limits.time),
            step_overhead_s=text.limits.step_overhead,
            token_overhead_s=text.limits.token_overhead,
            hop_overhead_s=_hop_overhead(text),
            parallel=_parallel(text),
            policy=text.limits.policy,
            engine=text.limits.engine,
            phases=text.limits.phases,
            latency_factor=text.limits.latency_factor,
        ),
        techniques=text.techniques.techniques(),
    )
    check_reach(cluster, at)
    check_host_memory(text, cluster, at)
    limits = cluster.limits.model_copy(
        update={"join": read_joins(text.limits.join, cluster, model, at)}
    )
    return cluster.model_copy(update={"limits": limits})


def _parallel(text: ClusterText) -> tuple[Parallel, ...]:
    """Return how devices of a stage may share its work; a technique may add to it."""
    more: tuple[Parallel, ...] = () if text.techniques.shift == "off" else ("shift",)
    return tuple(dict.fromkeys((*text.limits.parallel, *more)))


def _hop_overhead(text: ClusterText) -> Decimal:
    """Return what a hop takes besides its link: nothing if not stated, where speeds are measured.

    Profiles and overlays carry their own timing, and plans from them stay comparable with others'.
    """
    if text.limits.hop_overhead is not None:
        return text.limits.hop_overhead
    return Decimal(0) if text.profiles or text.overlays else HOP_OVERHEAD_S


def _measured_types(
    profiles: Iterable[Profile], used: Iterable[DeviceType], table: DeviceTable
) -> dict[str, DeviceType]:
    """Return the measured types whose profiles apply to a type in use, or may be scaled for it."""
    names = {device.profile_name for device in used}
    generations = {device.arch for device in used if device.arch is not None}
    measured = {profile.device: table.find(profile.device, ("profiles",)) for profile in profiles}
    return {
        name: device
        for name, device in measured.items()
        if name in names or device.arch in generations
    }
