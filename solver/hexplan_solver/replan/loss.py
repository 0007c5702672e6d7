"""Hosts and devices that are gone: the spec without them, with their pins loosened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.cluster import Cluster, Exclusion, GroupPin
from hexplan.errors import InputError
from hexplan.joining import split
from hexplan.spec import Spec
from hexplan.wording import did_you_mean

HostOrDevice = tuple[str, int | None]
"""The name of a host, with the index of one of its devices; None for the whole host."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A spec after a loss."""

    spec: Spec
    """The gone devices are excluded, so that the others keep their indices."""
    notes: tuple[str, ...]
    """The pins that no longer hold, in words."""
    keeps_bounds: bool
    """Whether earlier bounds still hold, which they do if the cluster only became smaller."""


def changed(spec: Spec) -> Loss:
    """Return the loss of a spec that was changed in any way: nothing proved before is relied on."""
    return Loss(spec, (), keeps_bounds=False)


def without(spec: Spec, gone: Sequence[HostOrDevice], *, keeps_bounds: bool = True) -> Loss:
    """Exclude what is gone; a pin that names it is dropped, or limited to what is left.

    `keeps_bounds` says whether the spec is the one that was solved before.

    Raises
    ------
    InputError
        If the cluster has no such host or device.
    """
    cluster, notes = _apart(spec.cluster, [host for host, _ in gone])
    for lost in gone:
        _check(cluster, lost)
    new = [Exclusion(host=host, device=device) for host, device in dict.fromkeys(gone)]
    exclusions = (*cluster.exclusions, *(e for e in new if e not in cluster.exclusions))
    after = cluster.model_copy(update={"exclusions": exclusions})
    dead = {host.name for host in cluster.hosts if _is_dead(after, host.name)}
    for pin in cluster.layer_pins:
        if pin.host in dead:
            notes.append(f"the pin of {pin.host} to layers {list(pin.layers)} is dropped")
    groups = []
    for group in cluster.group_pins:
        left = tuple(d for d in group.devices if not after.is_excluded(group.host, d))
        if left != group.devices:
            rest = f"is now of devices {list(left)}" if len(left) > 1 else "is dropped"
            notes.append(f"the pin of {group.host}'s devices {list(group.devices)} {rest}")
        if len(left) > 1:
            groups.append(GroupPin(host=group.host, devices=left))
    layers = tuple(pin for pin in cluster.layer_pins if pin.host not in dead)
    after = after.model_copy(update={"layer_pins": layers, "group_pins": tuple(groups)})
    return Loss(replace(spec, cluster=after), tuple(notes), keeps_bounds and not notes)


def _apart(cluster: Cluster, gone: Sequence[str]) -> tuple[Cluster, list[str]]:
    """Take joined hosts apart that lose a machine or a device, with a note on each."""
    hit = [host for host in cluster.hosts if {part.name for part in host.parts} & set(gone)]
    notes = [f"{host.label} work as one no longer" for host in hit]
    return split(cluster, [host.name for host in hit]), notes


def _check(cluster: Cluster, lost: HostOrDevice) -> None:
    host, device = lost
    if host not in cluster.host_by_name:
        message = f"--without: found {host}, needed a host of {cluster.name}"
        raise InputError(message, hint=did_you_mean(host, cluster.host_by_name))
    count = len(cluster.host_by_name[host].devices)
    if device is not None and device >= count:
        message = f"--without: found device {device} of {host}, needed 0 to {count - 1}"
        raise InputError(message)


def _is_dead(cluster: Cluster, host: str) -> bool:
    devices = range(len(cluster.host_by_name[host].devices))
    return all(cluster.is_excluded(host, device) for device in devices)
