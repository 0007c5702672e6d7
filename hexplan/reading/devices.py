"""Device types of a cluster: those of the catalog, and what the file changes and adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hexplan.catalog.shipped import OVERHEAD_BYTES, close_devices, find_device
from hexplan.device import DeviceType, Efficiency
from hexplan.reading.text.device_text import NEEDED
from hexplan.wording import close_names, join_or

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hexplan.reading.locate import Locator
    from hexplan.reading.text.device_text import DeviceText, EfficiencyText
    from hexplan.wording import KeyPath

_NEEDED = "{kind: cuda, memory: 80GiB, memory_bandwidth: 2TB/s, compute: 300 TFLOP/s}"


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """All device types that hosts may use."""

    given: Mapping[str, DeviceType]
    """Those that the file describes, by name."""
    at: Locator
    """Where errors are reported."""
    shared: dict[str, DeviceType] = field(default_factory=dict)
    """Those of which others use some memory; filled while hosts are read."""

    def in_use(self, name: str, used_bytes: int) -> str:
        """Return the name of a device type of whose memory others take so much."""
        device = self.find(name, ()).used_in_part(used_bytes)
        self.shared[device.name] = device
        return device.name

    def find(self, name: str, path: KeyPath) -> DeviceType:
        """Return a device type by name, or say what is missing at `path`."""
        for known in (self.given, self.shared):
            if name in known:
                return known[name]
        listed = find_device(name)
        if listed is not None:
            return self.given.get(listed.name, listed)
        close = tuple(dict.fromkeys((*close_names(name, self.given), *close_devices(name))))
        meant = f"did you mean {join_or(close)}? If not," if close else "there is no default:"
        raise self.at.error(
            path,
            f"found the unknown device type '{name}'",
            hint=f"{meant} describe it, with its own figures: `devices: {{{name}: {_NEEDED}}}`",
        )


def read_devices(texts: Mapping[str, DeviceText], at: Locator) -> DeviceTable:
    """Return the device types; one of the file hides the catalog's of the same name."""
    given: dict[str, DeviceType] = {}
    for name, text in texts.items():
        listed = find_device(name)
        device = _changed(listed, text) if listed else _new(name, text, at)
        if device.name in given:
            raise at.error(("devices", name), f"found '{device.name}' under two names, needed one")
        given[device.name] = device
    return DeviceTable(given, at)


def _changed(listed: DeviceType, text: DeviceText) -> DeviceType:
    figures = _figures(text)
    given = [field for field in type(text).model_fields if getattr(text, field) is not None]
    told = f"{listed.origin}; the cluster file gives {', '.join(given)}"
    return listed.model_copy(update={**figures, "origin": told if given else listed.origin})


def _new(name: str, text: DeviceText, at: Locator) -> DeviceType:
    missing = [field for field in NEEDED if getattr(text, field) is None]
    if missing:
        raise at.error(
            ("devices", name),
            f"'{name}' is not in the catalog, and lacks {', '.join(missing)}",
            hint=f"give all four: `{name}: {_NEEDED}` with its own figures",
        )
    figures = _figures(text)
    assert text.kind is not None
    figures.setdefault("overhead_bytes", OVERHEAD_BYTES[text.kind])
    return DeviceType.model_validate(
        {"name": name, **figures, "origin": "given in the cluster file"}
    )


def _figures(text: DeviceText) -> dict[str, str | int | bool | Efficiency]:
    """Return the given figures by the field of `DeviceType` that each sets."""
    found = {
        "kind": text.kind,
        "memory_bytes": text.memory,
        "memory_bandwidth_bytes_per_s": text.memory_bandwidth,
        "compute_flops_per_s": text.compute,
        "fp8_flops_per_s": text.fp8_compute,
        "int8_ops_per_s": text.int8_compute,
        "fp4_flops_per_s": text.fp4_compute,
        "float32_flops_per_s": text.float32_compute,
        "bfloat16": text.bfloat16,
        "overhead_bytes": text.overhead,
        "efficiency": _efficiency(text.efficiency),
    }
    return {field: value for field, value in found.items() if value is not None}


def _efficiency(text: EfficiencyText | None) -> Efficiency | None:
    if text is None:
        return None
    return Efficiency(
        compute=text.compute,
        bandwidth=text.bandwidth,
        error=text.error,
        origin="given in the cluster file",
    )
