"""Hosts of a cluster.yaml, with ranges of names expanded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexplan.cluster import COORDINATOR, Coordinator
from hexplan.host import Host, Spot
from hexplan.reading.interconnects import read_interconnect
from hexplan.reading.names import MAX_DEVICES, expand, split_device_count
from hexplan.reading.text.cluster_text import DuplexText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.cluster import Cluster
    from hexplan.device import DeviceType
    from hexplan.reading.devices import DeviceTable
    from hexplan.reading.locate import Locator
    from hexplan.reading.profiles import Profiles
    from hexplan.reading.text.cluster_text import ClusterText, HostText
    from hexplan.wording import KeyPath

MAX_HOSTS = 10_000
"""The most hosts of a cluster; the planner was tried with a few thousand."""


def read_hosts(text: ClusterText, table: DeviceTable, at: Locator) -> tuple[Host, ...]:
    """Return all hosts in the order of the file."""
    hosts: list[Host] = []
    path_of: dict[str, KeyPath] = {}
    for index, entry in enumerate(text.hosts):
        path = ("hosts", index)
        for host in _expand_host(entry, table, path, at):
            if host.name in path_of:
                line = at.line((*path_of[host.name], "name"))
                problem = f"found the host '{host.name}' again, first named at line {line}"
                raise at.error((*path, "name"), problem, hint="give each host its own name")
            path_of[host.name] = path
            hosts.append(host)
        if len(hosts) > MAX_HOSTS:
            problem = f"found more than {MAX_HOSTS} hosts, needed at most that"
            raise at.error((*path, "name"), problem)
    _check_names(text, path_of, at)
    return tuple(hosts)


def read_coordinator(text: ClusterText) -> Coordinator:
    """Return the place where requests enter."""
    nic_in, nic_out = _duplex(text.coordinator.nic)
    return Coordinator(
        site=text.coordinator.site, nic_in_bytes_per_s=nic_in, nic_out_bytes_per_s=nic_out
    )


def check_host_memory(text: ClusterText, cluster: Cluster, at: Locator) -> None:
    """Refuse hosts whose memory for keys and values is not known where it is to be used."""
    asked = cluster.techniques
    if asked.kv_offload == "off":
        return
    for index, entry in enumerate(text.hosts):
        for name in expand(entry.name):
            host = cluster.host_by_name[name]
            is_out = all(cluster.is_excluded(name, number) for number in range(len(host.devices)))
            if not is_out and asked.memory_of(host) is None:
                problem = (
                    f"found no `host_memory` of {name}, needed what it has for keys and values,"
                    f" as `techniques.kv_offload` is `{asked.kv_offload}`"
                )
                hint = "state `host_memory: 128GB` there, or in `techniques` for every host"
                raise at.error(("hosts", index), problem, hint=hint)


def with_measured_links(
    text: ClusterText, hosts: tuple[Host, ...], measured: Profiles, types: Mapping[str, DeviceType]
) -> tuple[Host, ...]:
    """Return the hosts with the links from host memory that a profile has, if nobody states any."""
    asked = text.techniques
    if asked.kv_offload == "off" or asked.host_link is not None:
        return hosts

    def linked(host: Host) -> Host:
        found = measured.host_link([types[name] for name in host.devices])
        if host.host_link_bytes_per_s is not None or found is None:
            return host
        return host.model_copy(update={"host_link_bytes_per_s": found})

    return tuple(map(linked, hosts))


def _expand_host(
    text: HostText, table: DeviceTable, path: KeyPath, at: Locator
) -> tuple[Host, ...]:
    """Return the hosts that one entry stands for."""
    names = expand(text.name)
    addresses = _addresses(text, len(names), path, at)
    devices = _devices(text, table, path, at)
    interconnect = read_interconnect(text, devices, path, at)
    devices = _in_use(text, devices, table, path, at)
    nic_in, nic_out = _duplex(text.nic)
    return tuple(
        Host(
            name=name,
            site=text.site,
            devices=devices,
            interconnect=interconnect,
            nic_in_bytes_per_s=nic_in,
            nic_out_bytes_per_s=nic_out,
            address=address,
            price_usd_per_h=text.price,
            spot=_spot(text),
            host_memory_bytes=text.host_memory,
            host_link_bytes_per_s=text.host_link,
        )
        for name, address in zip(names, addresses, strict=True)
    )


def _spot(text: HostText) -> Spot | None:
    if text.spot is None:
        return None
    return Spot(price_usd_per_h=text.spot.price, availability=text.spot.availability)


def _addresses(text: HostText, count: int, path: KeyPath, at: Locator) -> tuple[str | None, ...]:
    if text.address is None:
        return (None,) * count
    addresses = expand(text.address)
    if len(addresses) not in (1, count):
        problem = f"found {len(addresses)} addresses for {count} hosts, needed {count}"
        raise at.error((*path, "address"), problem, hint="make both ranges equally long")
    return addresses if len(addresses) == count else addresses * count


def _devices(text: HostText, table: DeviceTable, path: KeyPath, at: Locator) -> tuple[str, ...]:
    """Return the device type of each device of a host."""
    path = (*path, "devices")
    entries = (text.devices,) if isinstance(text.devices, str) else text.devices
    names: list[str] = []
    for index, entry in enumerate(entries):
        group = split_device_count(entry)
        names += [table.find(group.name, (*path, index)).name] * group.count
        if len(names) > MAX_DEVICES:
            raise at.error(path, f"found more than {MAX_DEVICES} devices in one host")
    return tuple(names)


def _in_use(
    text: HostText, devices: tuple[str, ...], table: DeviceTable, path: KeyPath, at: Locator
) -> tuple[str, ...]:
    """Return the device types; a type of which others use some memory gets a name of its own."""
    if text.in_use is None:
        return devices
    path = (*path, "in_use")
    used = text.in_use if isinstance(text.in_use, tuple) else (text.in_use,) * len(devices)
    if len(used) != len(devices):
        problem = f"found {len(used)} entries for {len(devices)} devices, needed one per device"
        raise at.error(path, problem, hint="or give one figure for all devices")
    for name, used_bytes in zip(devices, used, strict=True):
        memory_bytes = table.find(name, path).memory_bytes
        if used_bytes >= memory_bytes:
            problem = f"found {used_bytes} bytes in use of {name}, which has {memory_bytes}"
            raise at.error(path, problem, hint="leave the device out by a pin: `{exclude: ...}`")
    return tuple(table.in_use(*pair) for pair in zip(devices, used, strict=True))


def _duplex(nic: int | DuplexText) -> tuple[int, int]:
    return (nic.in_, nic.out) if isinstance(nic, DuplexText) else (nic, nic)


def _check_names(text: ClusterText, path_of: dict[str, KeyPath], at: Locator) -> None:
    """Refuse names with two meanings: the end of a link is a host, a site or the coordinator."""
    sites = {entry.site for entry in text.hosts} | {text.coordinator.site}
    for name, path in path_of.items():
        if name == COORDINATOR:
            problem = f"found the host name '{name}', which is reserved for where requests enter"
            raise at.error((*path, "name"), problem)
        if name in sites:
            problem = f"found '{name}' as a host and as a site, needed different names"
            raise at.error((*path, "name"), problem)
    for index, entry in enumerate(text.hosts):
        if entry.site == COORDINATOR:
            problem = f"found the site name '{COORDINATOR}', which is reserved"
            raise at.error(("hosts", index, "site"), problem)
    if text.coordinator.site == COORDINATOR:
        problem = f"found the site name '{COORDINATOR}', which is reserved"
        raise at.error(("coordinator", "site"), problem)
