"""Pins: exclusions, fixed layers of a host, and devices that belong together."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import span
from hexplan.cluster import GroupPin, LayerPin

EXCLUDED_DEVICE_USED = Rule(
    "HEX204", "excluded-device-used", "No stage uses a device that the user excluded."
)


def pin_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield pins and exclusions that the plan does not obey."""
    cluster = lookup.plan.cluster
    for pin in cluster.layer_pins:
        if pin.host in lookup.hosts:
            yield from _layer_pin(lookup, pin)
    for group in cluster.group_pins:
        if all(lookup.has_device(group.host, device) for device in group.devices):
            yield from _group_pin(lookup, group)
    excluded = {(exclusion.host, exclusion.device) for exclusion in cluster.exclusions}
    for stage in lookup.plan.stages:
        for device in stage.devices:
            if excluded & {(stage.host, device), (stage.host, None)}:
                where = f"stage {stage.id}, device {device}"
                yield EXCLUDED_DEVICE_USED.at(where, f"the user excluded it on {stage.host}")


LAYER_PIN_BROKEN = Rule(
    "HEX205",
    "layer-pin-broken",
    "A host pinned to layers has a stage, and each of its stages holds exactly those layers.",
)


def _layer_pin(lookup: Lookup, pin: LayerPin) -> Iterator[Violation]:
    stages = [stage for stage in lookup.plan.stages if stage.host == pin.host]
    if not stages:
        message = f"pinned to layers {span(pin.layers)}, but no stage uses it"
        yield LAYER_PIN_BROKEN.at(f"host {pin.host}", message)
    for stage in stages:
        if stage.layers != pin.layers:
            held, pinned = span(stage.layers), span(pin.layers)
            message = f"holds layers {held}, but {pin.host} is pinned to {pinned}"
            yield LAYER_PIN_BROKEN.at(f"stage {stage.id}", message)


GROUP_PIN_BROKEN = Rule(
    "HEX206", "group-pin-broken", "Devices pinned together are exactly the devices of one stage."
)


def _group_pin(lookup: Lookup, pin: GroupPin) -> Iterator[Violation]:
    wanted = set(pin.devices)
    stages = [stage for stage in lookup.plan.stages if stage.host == pin.host]
    if all(set(stage.devices) == wanted or not wanted & set(stage.devices) for stage in stages):
        return
    found = "; ".join(f"{stage.id} has {list(stage.devices)}" for stage in stages) or "none"
    message = f"one stage must have exactly devices {sorted(wanted)}; stages here: {found}"
    yield GROUP_PIN_BROKEN.at(f"host {pin.host}", message)
