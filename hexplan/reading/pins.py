"""Pins of a cluster.yaml: what must sit where, and what must stay unused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hexplan.cluster import Exclusion, GroupPin, LayerPin
from hexplan.reading.names import expand, split_device_slot
from hexplan.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.field_types import Range
    from hexplan.host import Host
    from hexplan.reading.locate import Locator
    from hexplan.reading.names import DeviceSlot
    from hexplan.reading.text.cluster_text import PinText
    from hexplan.wording import KeyPath


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A host, or one device of it."""

    host: str
    device: int | None = None
    """The device's index; None stands for the whole host."""


@dataclass(slots=True)
class Pins:
    """All pins and exclusions of a file."""

    layers: list[LayerPin] = field(default_factory=list)
    groups: list[GroupPin] = field(default_factory=list)
    exclusions: list[Exclusion] = field(default_factory=list)
    line_of: dict[_Pinned, int] = field(default_factory=dict)
    """The line that pins a host to layers, or a device to a stage."""


@dataclass(frozen=True, slots=True)
class PinReader:
    """Turns the entries under `pin` into nouns."""

    hosts: Mapping[str, Host]
    """All hosts by name."""
    num_layers: int
    """Layers of the model."""
    at: Locator
    """Where errors are reported."""

    def read(self, texts: tuple[PinText, ...]) -> Pins:
        """Return all pins and exclusions; refuse one that contradicts another."""
        pins = Pins()
        for index, text in enumerate(texts):
            path = ("pin", index)
            if text.same_stage is not None:
                pins.groups.append(self._group(text.same_stage, (*path, "same_stage")))
                for device in pins.groups[-1].devices:
                    self._note(pins, _Pinned(pins.groups[-1].host, device), path)
            elif text.host is not None and text.layers is not None:
                pins.layers += self._layers(text.host, text.layers, path)
                for name in expand(text.host):
                    self._note(pins, _Pinned(name), path)
        lines = pins.line_of | {_Pinned(p.host): line for p, line in pins.line_of.items()}
        for index, text in enumerate(texts):
            if text.exclude is not None:
                pins.exclusions += self._exclusions(text.exclude, lines, ("pin", index, "exclude"))
        return pins

    def _note(self, pins: Pins, pinned: _Pinned, path: KeyPath) -> None:
        """Record the line that pins a host or a device; refuse a second one."""
        if pinned in pins.line_of:
            host, device = pinned.host, pinned.device
            what = f"'{host}' to layers" if device is None else f"'{host}/{device}' to a stage"
            problem = f"pins {what} again, first at line {pins.line_of[pinned]}"
            raise self.at.error(path, problem, hint="remove one of the two pins")
        pins.line_of[pinned] = self.at.line(path)

    def _exclusions(
        self, text: str, lines: Mapping[_Pinned, int], path: KeyPath
    ) -> list[Exclusion]:
        """Return what stays unused; refuse what a pin at one of the `lines` needs."""
        if "/" in text:
            slot = self._slot(text, path)
            excluded = [_Pinned(slot.host, slot.device)]
        else:
            excluded = [_Pinned(name) for name in self._names(text, path)]
        for one in excluded:
            if one in lines:
                problem = f"excludes what the pin at line {lines[one]} needs"
                raise self.at.error(path, problem, hint="remove one of the two pins")
        return [Exclusion(host=one.host, device=one.device) for one in excluded]

    def _group(self, slots: tuple[str, ...], path: KeyPath) -> GroupPin:
        found = [self._slot(slot, (*path, index)) for index, slot in enumerate(slots)]
        hosts = sorted({slot.host for slot in found})
        devices = tuple(sorted({slot.device for slot in found}))
        if len(hosts) > 1:
            problem = f"found devices of {' and '.join(hosts)}, needed devices of one host"
            hint = f"to let these hosts work as one: `limits: {{join: [[{', '.join(hosts)}]]}}`"
            raise self.at.error(path, problem, hint=hint)
        if len(devices) < len(slots):
            raise self.at.error(path, "found a device twice, needed each once")
        return GroupPin(host=hosts[0], devices=devices)

    def _layers(self, host: str, layers: Range, path: KeyPath) -> list[LayerPin]:
        first, end = layers
        if not first < end <= self.num_layers:
            problem = (
                f"found [{first}, {end}], needed first < end <= {self.num_layers},"
                " the layers of the model"
            )
            raise self.at.error((*path, "layers"), problem)
        return [LayerPin(host=name, layers=layers) for name in self._names(host, (*path, "host"))]

    def _names(self, text: str, path: KeyPath) -> tuple[str, ...]:
        names = expand(text)
        for name in names:
            self._check_host(name, path)
        return names

    def _slot(self, text: str, path: KeyPath) -> DeviceSlot:
        slot = split_device_slot(text)
        self._check_host(slot.host, path)
        count = len(self.hosts[slot.host].devices)
        if slot.device >= count:
            problem = f"found device {slot.device} of '{slot.host}', needed 0 to {count - 1}"
            raise self.at.error(path, problem)
        return slot

    def _check_host(self, name: str, path: KeyPath) -> None:
        if name not in self.hosts:
            problem = f"found '{name}', needed a host"
            raise self.at.error(path, problem, hint=did_you_mean(name, self.hosts))
