"""Devices and layers: every device has one place, and every layer has a holder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import span

Slot = tuple[str, int]
"""A device: host name and index."""


DEVICE_SHARED = Rule("HEX201", "device-shared", "A device is in at most one stage, once.")


def placement_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield devices with two places or none, and layers without a holder."""
    holders: dict[Slot, list[str]] = {}
    for stage in lookup.plan.stages:
        for device in stage.devices:
            holders.setdefault((stage.host, device), []).append(stage.id)
    for slot, stages in holders.items():
        if len(stages) > 1:
            message = f"used {len(stages)} times: by stages {', '.join(stages)}"
            yield DEVICE_SHARED.at(_device(slot), message)
    yield from _unused(lookup, holders)
    yield from _uncovered(lookup)


DEVICE_UNACCOUNTED = Rule(
    "HEX202", "device-unaccounted", "Every device is in a stage or listed under `unused`."
)
DEVICE_USED_AND_UNUSED = Rule(
    "HEX203",
    "device-used-and-unused",
    "A device under `unused` is in no stage, and is listed once.",
)


def _unused(lookup: Lookup, holders: dict[Slot, list[str]]) -> Iterator[Violation]:
    listed = Counter((unused.host, unused.device) for unused in lookup.plan.unused)
    for slot, count in listed.items():
        if slot in holders:
            message = f"listed under unused, but stage {holders[slot][0]} uses it"
            yield DEVICE_USED_AND_UNUSED.at(_device(slot), message)
        elif count > 1:
            yield DEVICE_USED_AND_UNUSED.at(_device(slot), f"listed {count} times under unused")
    for host in lookup.hosts.values():
        for index in range(len(host.devices)):
            slot = host.name, index
            if slot not in holders and slot not in listed:
                yield DEVICE_UNACCOUNTED.at(
                    _device(slot), "in no stage, and not listed under unused"
                )


def _uncovered(lookup: Lookup) -> Iterator[Violation]:
    # A sweep over ranges, not over layers: a plan may state any number of layers.
    covered, last = 0, lookup.plan.model.layers
    ranges = [stage.layers for stage in lookup.plan.stages if stage.layers[0] < stage.layers[1]]
    for first, end in sorted(ranges):
        if covered < min(first, last):
            yield _gap(covered, min(first, last))
        covered = max(covered, end)
    if covered < last:
        yield _gap(covered, last)


LAYER_UNCOVERED = Rule("HEX208", "layer-uncovered", "Every layer is held by some stage.")


def _gap(first: int, end: int) -> Violation:
    return LAYER_UNCOVERED.at(f"layers {span((first, end))}", "no stage holds them")


def _device(slot: Slot) -> str:
    return f"host {slot[0]}, device {slot[1]}"
