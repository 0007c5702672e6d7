"""Names and indices: everything that the plan refers to must exist, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hexplan.check.lookup import Lookup, trunk_name
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import span
from hexplan.cluster import COORDINATOR
from hexplan.plan import ENTRY, EXIT, Stage, inputs_sha256


def is_flow_known(lookup: Lookup) -> bool:
    """Say whether flows can be added up: names are unique, and stages and edges are valid."""
    return (
        next(_name_clashes(lookup), None) is None
        and all(lookup.is_placed(stage) for stage in lookup.plan.stages)
        and next(_unknown_ends(lookup), None) is None
    )


def are_hops_known(lookup: Lookup) -> bool:
    """Say whether every hop names a stage."""
    return next(_unknown_hops(lookup), None) is None


def reference_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield everything that the plan names that does not exist, or exists twice."""
    yield from _cluster_hash(lookup)
    yield from _name_clashes(lookup)
    for stage in lookup.plan.stages:
        yield from _stage_references(lookup, stage)
    yield from _other_references(lookup)
    yield from _rules_under_rules(lookup)
    yield from _unknown_ends(lookup)
    yield from _unknown_hops(lookup)
    yield from _lengths(lookup)


CLUSTER_HASH = Rule(
    "HEX102",
    "cluster-hash",
    "`cluster_sha256` is the hash of the cluster that the plan carries, and `inputs_sha256` that of"
    " its model, workload and objective.",
)


def _cluster_hash(lookup: Lookup) -> Iterator[Violation]:
    stated, found = lookup.plan.cluster_sha256, lookup.plan.cluster.sha256
    if stated != found:
        message = f"the plan states {stated}, but its cluster hashes to {found}"
        yield CLUSTER_HASH.at("cluster", message)
    plan = lookup.plan
    found = inputs_sha256(plan.model, plan.workload, plan.objective)
    if plan.inputs_sha256 != found:
        message = f"the plan states {plan.inputs_sha256}, but they hash to {found}"
        yield CLUSTER_HASH.at("model, workload and objective", message)


NAME_CLASH = Rule(
    "HEX103",
    "name-clash",
    "Names of stages, hosts, device types, link rules and profiles are unique; no stage is called"
    " `entry` or `exit`, no host `coordinator`, and neither name contains `>`.",
)


def _name_clashes(lookup: Lookup) -> Iterator[Violation]:
    for what, names, reserved in _names(lookup):
        for name, count in Counter(names).items():
            if count > 1:
                yield NAME_CLASH.at(f"{what} {name}", f"{count} have this name, only one may")
            if name in reserved:
                yield NAME_CLASH.at(f"{what} {name}", "this name is reserved")
    # Constraints are named `link:FROM>TO` and `pair:FROM>TO`, which `>` in a name would confuse.
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


UNKNOWN_HOST = Rule("HEX104", "unknown-host", "Every host that is named is in the plan's cluster.")
UNKNOWN_DEVICE = Rule("HEX105", "unknown-device", "Every device index exists on its host.")
UNKNOWN_DEVICE_TYPE = Rule(
    "HEX106", "unknown-device-type", "The type of every device of a host is in the cluster."
)
NO_INTERCONNECT = Rule(
    "HEX108", "no-interconnect", "A stage of several devices is on a host with an interconnect."
)
BAD_LAYER_RANGE = Rule(
    "HEX207", "bad-layer-range", "A stage holds `[first, end)` with 0 <= first < end <= L."
)
EMPTY_STAGE = Rule("HEX211", "empty-stage", "Every stage has at least one device.")


def _stage_references(lookup: Lookup, stage: Stage) -> Iterator[Violation]:
    where, layers = f"stage {stage.id}", lookup.plan.model.layers
    first, end = stage.layers
    if not 0 <= first < end <= layers:
        message = (
            f"{span(stage.layers)} must be a range of the model's {layers} layers, first < end"
        )
        yield BAD_LAYER_RANGE.at(where, message)
    if not stage.shards:
        yield EMPTY_STAGE.at(where, "it has no device, needed at least one")
    if stage.host not in lookup.hosts:
        yield UNKNOWN_HOST.at(where, f"the cluster has no host {stage.host}")
        return
    host = lookup.hosts[stage.host]
    if stage.tp > 1 and host.interconnect is None:
        message = f"{stage.tp} devices work together, but {host.name} has no interconnect"
        yield NO_INTERCONNECT.at(where, message)
    for device in stage.devices:
        place = f"{where}, device {device}"
        if not lookup.has_device(stage.host, device):
            yield UNKNOWN_DEVICE.at(place, _device_range(lookup, stage.host))


def _other_references(lookup: Lookup) -> Iterator[Violation]:
    for known in lookup.hosts.values():
        for name in dict.fromkeys(known.devices):
            if name not in lookup.device_types:
                message = f"the cluster has no device type {name}"
                yield UNKNOWN_DEVICE_TYPE.at(f"host {known.name}", message)
    for where, host, devices in _named_devices(lookup):
        if host not in lookup.hosts:
            yield UNKNOWN_HOST.at(where, f"the cluster has no host {host}")
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


UNKNOWN_RULE = Rule(
    "HEX110",
    "unknown-rule",
    "A link rule under another one has no trunk and no policy of its own; the other one exists, and"
    " is under none.",
)


def _rules_under_rules(lookup: Lookup) -> Iterator[Violation]:
    for link in lookup.plan.cluster.links:
        if link.under is None:
            continue
        where, name = f"link rule {link.source}>{link.target}", ">".join(link.under)
        over = lookup.links.get(link.under)
        if over is None:
            yield UNKNOWN_RULE.at(where, f"it is under {name}, but there is no such link rule")
        elif over.under is not None:
            yield UNKNOWN_RULE.at(where, f"it is under {name}, which is itself under another rule")
        if link.trunk_bytes_per_s is not None or link.allow != "all":
            message = f"it has a trunk or a policy of its own, but those of {name} apply"
            yield UNKNOWN_RULE.at(where, message)


def _device_range(lookup: Lookup, host: str) -> str:
    return f"{host} has devices {span((0, len(lookup.hosts[host].devices)))}"


UNKNOWN_STAGE = Rule(
    "HEX107",
    "unknown-stage",
    "Every edge runs from a stage or `entry` to a stage or `exit`, and every hop names a stage.",
)


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
                yield UNKNOWN_STAGE.at(f"route {index}", f"the plan has no stage {hop.stage}")
    for index, handover in enumerate(lookup.plan.handovers):
        for hop in (*handover.prefill, *handover.decode):
            if hop.stage not in lookup.stages:
                message = f"the plan has no stage {hop.stage}"
                yield UNKNOWN_STAGE.at(f"handover {index}", message)


LENGTHS_REVERSED = Rule(
    "HEX109", "lengths-reversed", "The longest prompt and output are at least as long as the mean."
)

CONTEXT_EXCEEDED = Rule(
    "HEX112",
    "context-exceeded",
    "The longest prompt and the longest output together fit the model's context.",
)


def _lengths(lookup: Lookup) -> Iterator[Violation]:
    workload = lookup.plan.workload
    sides = (("prompt", workload.prompt_tokens), ("output", workload.output_tokens))
    for side, lengths in sides:
        if lengths.max < lengths.mean:
            message = f"the longest is {lengths.max} tokens, the mean {lengths.mean}"
            yield LENGTHS_REVERSED.at(f"workload, {side}", message)
    longest = workload.prompt_tokens.max + workload.output_tokens.max
    if longest > lookup.plan.model.max_context:
        message = (
            f"{longest} tokens, but the model has a context of {lookup.plan.model.max_context}"
        )
        yield CONTEXT_EXCEEDED.at("workload, longest request", message)
