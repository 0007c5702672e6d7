"""Names and indices: whatever the plan refers to must exist, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hexplan.check.lookup import Lookup, trunk_name
from hexplan.check.rules import (
    BAD_LAYER_RANGE,
    CLUSTER_HASH,
    EMPTY_STAGE,
    LENGTHS_REVERSED,
    NAME_CLASH,
    NO_INTERCONNECT,
    UNKNOWN_DEVICE,
    UNKNOWN_DEVICE_TYPE,
    UNKNOWN_HOST,
    UNKNOWN_RULE,
    UNKNOWN_STAGE,
    Violation,
)
from hexplan.check.text import span
from hexplan.cluster import COORDINATOR
from hexplan.plan import ENTRY, EXIT, Stage


def is_flow_known(lookup: Lookup) -> bool:
    """Say whether flows can be added up: names are clear and stages and edges mean something."""
    return (
        next(_name_clashes(lookup), None) is None
        and all(lookup.is_placed(stage) for stage in lookup.plan.stages)
        and next(_unknown_ends(lookup), None) is None
    )


def are_hops_known(lookup: Lookup) -> bool:
    """Say whether every hop names a stage."""
    return next(_unknown_hops(lookup), None) is None


def reference_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield whatever the plan names that does not exist, or exists twice."""
    yield from _cluster_hash(lookup)
    yield from _name_clashes(lookup)
    for stage in lookup.plan.stages:
        yield from _stage_references(lookup, stage)
    yield from _other_references(lookup)
    yield from _rules_under_rules(lookup)
    yield from _unknown_ends(lookup)
    yield from _unknown_hops(lookup)
    yield from _lengths(lookup)


def _cluster_hash(lookup: Lookup) -> Iterator[Violation]:
    stated, found = lookup.plan.cluster_sha256, lookup.plan.cluster.sha256
    if stated != found:
        message = f"the plan states {stated}, but its cluster hashes to {found}"
        yield CLUSTER_HASH.at("cluster", message)


def _name_clashes(lookup: Lookup) -> Iterator[Violation]:
    for what, names, reserved in _names(lookup):
        for name, count in Counter(names).items():
            if count > 1:
                yield NAME_CLASH.at(f"{what} {name}", f"{count} have this name, one may")
            if name in reserved:
                yield NAME_CLASH.at(f"{what} {name}", "this name is reserved")
    # A constraint is `link:FROM>TO` or `pair:FROM>TO`, which such a name would blur.
    for stage in lookup.plan.stages:
        if ">" in stage.id:
            yield NAME_CLASH.at(f"stage {stage.id}", "a stage's name must not contain `>`")
    for host in lookup.plan.cluster.hosts:
        if ">" in host.name:
            yield NAME_CLASH.at(f"host {host.name}", "a host's name must not contain `>`")


def _names(lookup: Lookup) -> Iterator[tuple[str, list[str], tuple[str, ...]]]:
    cluster = lookup.plan.cluster
    profiles = [f"{profile.device} x {profile.tp}" for profile in cluster.profiles]
    yield "stage", [stage.id for stage in lookup.plan.stages], (ENTRY, EXIT)
    yield "host", [host.name for host in cluster.hosts], (COORDINATOR,)
    yield "device type", [kind.name for kind in cluster.device_types], ()
    yield "link rule", [trunk_name(link).removeprefix("trunk:") for link in cluster.links], ()
    yield "profile", profiles, ()


def _stage_references(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    where, layers = f"stage {stage.id}", lookup.plan.model.layers
    first, end = stage.layers
    if not 0 <= first < end <= layers:
        message = (
            f"{span(stage.layers)} must be a range of the model's {layers} layers, first < end"
        )
        yield BAD_LAYER_RANGE.at(where, message)
    if not stage.shards:
        yield EMPTY_STAGE.at(where, "it has no device, and needs at least one")
    if stage.host not in lookup.hosts:
        yield UNKNOWN_HOST.at(where, f"{stage.host} is no host of the cluster")
        return
    host = lookup.hosts[stage.host]
    if stage.tp > 1 and host.interconnect is None:
        message = f"{stage.tp} devices work together, but {host.name} has no interconnect"
        yield NO_INTERCONNECT.at(where, message)
    for device in stage.devices:
        place = f"{where}, device {device}"
        if not lookup.has_device(stage.host, device):
            yield UNKNOWN_DEVICE.at(place, _device_range(lookup, stage.host))
        elif lookup.device_type(stage.host, device) is None:
            message = f"{host.devices[device]} is no device type of the cluster"
            yield UNKNOWN_DEVICE_TYPE.at(place, message)


def _other_references(lookup: Lookup) -> Iterator[Violation]:
    for where, host, devices in _named_devices(lookup):
        if host not in lookup.hosts:
            yield UNKNOWN_HOST.at(where, f"{host} is no host of the cluster")
            continue
        for device in devices:
            if not lookup.has_device(host, device):
                place = f"{where}, device {device}"
                yield UNKNOWN_DEVICE.at(place, _device_range(lookup, host))


def _named_devices(lookup: Lookup) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    cluster = lookup.plan.cluster
    for unused in lookup.plan.unused:
        yield f"unused, host {unused.host}", unused.host, (unused.device,)
    for pin in cluster.layer_pins:
        yield f"layer pin, host {pin.host}", pin.host, ()
    for group in cluster.group_pins:
        yield f"group pin, host {group.host}", group.host, group.devices
    for exclusion in cluster.exclusions:
        devices = () if exclusion.device is None else (exclusion.device,)
        yield f"exclusion, host {exclusion.host}", exclusion.host, devices


def _rules_under_rules(lookup: Lookup) -> Iterator[Violation]:
    for link in lookup.plan.cluster.links:
        if link.under is None:
            continue
        where, name = f"link rule {link.source}>{link.target}", ">".join(link.under)
        over = lookup.links.get(link.under)
        if over is None:
            yield UNKNOWN_RULE.at(where, f"it is under {name}, which is no link rule")
        elif over.under is not None:
            yield UNKNOWN_RULE.at(where, f"it is under {name}, which is under another one itself")
        if link.trunk_bytes_per_s is not None or link.allow != "all":
            message = f"it has a trunk or a policy, but those of {name} hold"
            yield UNKNOWN_RULE.at(where, message)


def _device_range(lookup: Lookup, host: str) -> str:
    return f"{host} has devices {span((0, len(lookup.hosts[host].devices)))}"


def _unknown_ends(lookup: Lookup) -> Iterator[Violation]:
    for edge in lookup.plan.edges:
        where = f"edge {edge.source}>{edge.target}"
        for end, terminal in ((edge.source, ENTRY), (edge.target, EXIT)):
            if end != terminal and end not in lookup.stages:
                yield UNKNOWN_STAGE.at(where, f"{end} must be a stage or {terminal}")


def _unknown_hops(lookup: Lookup) -> Iterator[Violation]:
    for index, route in enumerate(lookup.plan.routes):
        for hop in route.hops:
            if hop.stage not in lookup.stages:
                yield UNKNOWN_STAGE.at(f"route {index}", f"{hop.stage} is no stage")


def _lengths(lookup: Lookup) -> Iterator[Violation]:
    workload = lookup.plan.workload
    sides = (("prompt", workload.prompt_tokens), ("output", workload.output_tokens))
    for side, lengths in sides:
        if lengths.max < lengths.mean:
            message = f"the longest is {lengths.max} tokens, the mean {lengths.mean}"
            yield LENGTHS_REVERSED.at(f"workload, {side}", message)
