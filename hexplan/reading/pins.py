"""Wishes about single hosts and devices in a cluster.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hexplan.cluster import Exclusion, GroupPin, LayerPin
from hexplan.reading.names import expand, split_device_slot
from hexplan.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.host import Host
    from hexplan.reading.locate import Locator
    from hexplan.reading.text.cluster_text import PinText
    from hexplan.wording import KeyPath


@dataclass(slots=True)
class Pins:
    """All wishes of a file."""

    layers: list[LayerPin] = field(default_factory=list)
    groups: list[GroupPin] = field(default_factory=list)
    exclusions: list[Exclusion] = field(default_factory=list)
    line_of: dict[tuple[str, int | None], int] = field(default_factory=dict)
    """The line that ties a host to layers (device None), or a device to a stage."""


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
        """Return all wishes, none of which contradicts another."""
        pins = Pins()
        for index, text in enumerate(texts):
            path = ("pin", index)
            if text.same_stage is not None:
                pins.groups.append(self._group(text.same_stage, (*path, "same_stage")))
                for device in pins.groups[-1].devices:
                    self._tie(pins, pins.groups[-1].host, device, path)
            elif text.host is not None and text.layers is not None:
                pins.layers += self._layers(text.host, text.layers, path)
                for name in expand(text.host):
                    self._tie(pins, name, None, path)
        hosts = {host: line for (host, _), line in pins.line_of.items()}
        lines = pins.line_of | {(host, None): line for host, line in hosts.items()}
        for index, text in enumerate(texts):
            if text.exclude is not None:
                pins.exclusions += self._exclusions(text.exclude, lines, ("pin", index, "exclude"))
        return pins

    def _tie(self, pins: Pins, host: str, device: int | None, path: KeyPath) -> None:
        """Note that a host or device is tied, which may happen once."""
        if (host, device) in pins.line_of:
            what = f"'{host}' to layers" if device is None else f"'{host}/{device}' to a stage"
            problem = f"ties {what} again, first at line {pins.line_of[host, device]}"
            raise self.at.error(path, problem, hint="remove one of the two pins")
        pins.line_of[host, device] = self.at.line(path)

    def _exclusions(
        self, text: str, lines: Mapping[tuple[str, int | None], int], path: KeyPath
    ) -> list[Exclusion]:
        """Return what stays unused, none of which is tied by the pins at `lines`."""
        slots: list[tuple[str, int | None]] = (
            [self._slot(text, path)]
            if "/" in text
            else [(name, None) for name in self._names(text, path)]
        )
        for slot in slots:
            if slot in lines:
                problem = f"excludes what the pin at line {lines[slot]} ties"
                raise self.at.error(path, problem, hint="remove one of the two pins")
        return [Exclusion(host=host, device=device) for host, device in slots]

    def _group(self, slots: tuple[str, ...], path: KeyPath) -> GroupPin:
        pairs = [self._slot(slot, (*path, index)) for index, slot in enumerate(slots)]
        hosts = sorted({host for host, _ in pairs})
        devices = tuple(sorted({device for _, device in pairs}))
        if len(hosts) > 1:
            problem = f"found devices of {' and '.join(hosts)}, needed devices of one host"
            hint = f"to let these hosts work as one: `limits: {{join: [[{', '.join(hosts)}]]}}`"
            raise self.at.error(path, problem, hint=hint)
        if len(devices) < len(slots):
            raise self.at.error(path, "found a device twice, needed each once")
        return GroupPin(host=hosts[0], devices=devices)

    def _layers(self, host: str, layers: tuple[int, int], path: KeyPath) -> list[LayerPin]:
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

    def _slot(self, text: str, path: KeyPath) -> tuple[str, int]:
        host, device = split_device_slot(text)
        self._check_host(host, path)
        count = len(self.hosts[host].devices)
        if device >= count:
            problem = f"found device {device} of '{host}', needed 0 to {count - 1}"
            raise self.at.error(path, problem)
        return host, device

    def _check_host(self, name: str, path: KeyPath) -> None:
        if name not in self.hosts:
            problem = f"found '{name}', needed a host"
            raise self.at.error(path, problem, hint=did_you_mean(name, self.hosts))
