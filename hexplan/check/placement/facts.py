"""Facts: what a plan says about its model, its devices and its links, by the catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hexplan.catalog.shipped import find_device, find_model
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.cluster import COORDINATOR
from hexplan.device import DeviceType
from hexplan.model import FAMILY_FACTS, differing_facts


def fact_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield what the plan says about its model, devices and links that cannot be so."""
    yield from _family(lookup)
    yield from _model(lookup)
    for kind in lookup.plan.cluster.device_types:
        yield from _device(kind)
    yield from _link_ends(lookup)
    yield from _trusted_sites(lookup)


FAMILY_WRONG = Rule(
    "HEX113",
    "family-wrong",
    "A model of the catalog or of a folder has experts, norms of queries and keys, and biases of"
    " the three projections where every model of its family has them, and none where none has.",
)


def _family(lookup: Lookup) -> Iterator[Violation]:
    model = lookup.plan.model
    if model.path is None and find_model(model.name) is None:
        return  # its numbers were written by hand, and may stand for a model of another family
    problem = FAMILY_FACTS[model.family].contradiction(model)
    if problem:
        yield FAMILY_WRONG.at("model, family", problem)


MODEL_FACTS_WRONG = Rule(
    "HEX114",
    "model-facts-wrong",
    "A model without a folder whose name is in the catalog is what the catalog lists, types of"
    " numbers left out, except for the fields that `given` names; no other model names any.",
)


def _model(lookup: Lookup) -> Iterator[Violation]:
    model = lookup.plan.model
    listed = find_model(model.name) if model.path is None else None
    differing = () if listed is None else differing_facts(model, listed)
    if set(differing) != set(model.given) or len(set(model.given)) < len(model.given):
        found = ", ".join(differing) or "nothing"
        stated = ", ".join(model.given) or "nothing"
        message = f"{found} differs from the catalog, but the plan says that {stated} does"
        yield MODEL_FACTS_WRONG.at("model", message)
    if model.path is None and model.config_sha256 is not None:
        yield MODEL_FACTS_WRONG.at("model", "it has the hash of a config, but no folder")


DEVICE_FACTS_WRONG = Rule(
    "HEX116",
    "device-facts-wrong",
    "A device type whose name is in the catalog states the catalog's figures and origins, except"
    " for those that its origin says the cluster file gives; no other one claims a datasheet or a"
    " calibration.",
)
GIVEN = "; the cluster file gives "
BY_USER = "given in the cluster file"
CLAIMS = ("datasheet", "calibrated", "measured")
"""How origins begin that only the catalog may state."""
FIELDS = {
    "kind": "kind",
    "memory": "memory_bytes",
    "memory_bandwidth": "memory_bandwidth_bytes_per_s",
    "compute": "compute_flops_per_s",
    "fp8_compute": "fp8_flops_per_s",
    "int8_compute": "int8_ops_per_s",
    "fp4_compute": "fp4_flops_per_s",
    "float32_compute": "float32_flops_per_s",
    "bfloat16": "bfloat16",
    "overhead": "overhead_bytes",
    "efficiency": "efficiency",
}
"""Figures of a device type by their names in a cluster file."""


def _device(kind: DeviceType) -> Iterator[Violation]:
    where = f"device type {kind.name}"
    listed = find_device(kind.profiled_as or kind.name)
    if listed is None:
        for origin in (kind.origin, kind.efficiency.origin):
            if origin.startswith(CLAIMS):
                message = f"it is not in the catalog, but its origin is: {origin}"
                yield DEVICE_FACTS_WRONG.at(where, message)
        return
    told, _, names = kind.origin.partition(GIVEN)
    given = names.split(", ") if names else []
    differing = {
        name for name, field in FIELDS.items() if getattr(kind, field) != getattr(listed, field)
    }
    if told != listed.origin or not set(given) <= set(FIELDS) or len(set(given)) < len(given):
        message = f"its origin is: {kind.origin}; the catalog's is: {listed.origin}"
        yield DEVICE_FACTS_WRONG.at(where, message)
    elif differing - set(given):
        message = (
            f"it states another {', '.join(sorted(differing - set(given)))} than the catalog,"
            " which its origin does not say"
        )
        yield DEVICE_FACTS_WRONG.at(where, message)
    elif "efficiency" in differing and kind.efficiency.origin != BY_USER:
        message = f"its efficiency is {kind.efficiency.origin}, needed {BY_USER}"
        yield DEVICE_FACTS_WRONG.at(where, message)
    if kind.arch != listed.arch:
        message = f"its generation is {kind.arch}, in the catalog {listed.arch}"
        yield DEVICE_FACTS_WRONG.at(where, message)


UNKNOWN_SITE = Rule(
    "HEX117",
    "unknown-site",
    "Each trusted site is named once, and is the site of a host or of the coordinator.",
)


def _trusted_sites(lookup: Lookup) -> Iterator[Violation]:
    cluster = lookup.plan.cluster
    known = {host.site for host in cluster.hosts} | {cluster.coordinator.site}
    for site, count in Counter(cluster.trusted_sites).items():
        if site not in known:
            yield UNKNOWN_SITE.at(f"trusted site {site}", "no host is there")
        if count > 1:
            yield UNKNOWN_SITE.at(f"trusted site {site}", f"it is named {count} times")


UNKNOWN_END = Rule(
    "HEX115",
    "unknown-end",
    "Each end of a link rule is a host, a machine of a joined host, a site with a host or the"
    " coordinator, or the coordinator.",
)


def _link_ends(lookup: Lookup) -> Iterator[Violation]:
    cluster = lookup.plan.cluster
    machines = [machine for host in cluster.hosts for machine in (host, *host.parts)]
    sites = {machine.site for machine in machines} | {cluster.coordinator.site}
    known = {machine.name for machine in machines} | sites | {COORDINATOR}
    for link in cluster.links:
        for end in dict.fromkeys((link.source, link.target)):
            if end not in known:
                message = f"{end} is no host, site or coordinator"
                yield UNKNOWN_END.at(f"link rule {link.source}>{link.target}", message)
