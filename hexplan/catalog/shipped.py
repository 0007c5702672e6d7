"""The catalogs that ship with hexplan: datasheet figures of devices, and sizes of models."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from hexplan.catalog.driver_names import CATALOG_NAMES, VENDOR_PREFIX
from hexplan.catalog.efficiencies import Chip, find_efficiency
from hexplan.catalog.rates import find_rates
from hexplan.device import DeviceKind, DeviceType
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model
from hexplan.wording import close_names

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIND_BY_VENDOR: Mapping[str, DeviceKind] = MappingProxyType(
    {
        "nvidia": "cuda",
        "amd": "rocm",
        "intel": "hpu",
        "apple": "mps",
        "huawei": "npu",
        "google": "tpu",
    }
)
_FRAMEWORK_BYTES = 512 << 20
OVERHEAD_BYTES: Mapping[DeviceKind, int] = MappingProxyType(
    {
        **dict.fromkeys(("cuda", "rocm", "hpu", "xpu", "npu", "tpu"), _FRAMEWORK_BYTES),
        **dict.fromkeys(("mps", "cpu"), 0),
    }
)
"""What driver and framework take of a device, by its kind: an allowance.

A CUDA context with lazily loaded kernels takes about 300 MB (pytorch/pytorch#107667), and
collectives add buffers. A CPU or a Mac has none, because its row states the memory that is free.
"""
_MOST_CLOSE = 4
"""The most names that a hint lists."""
_SEPARATORS = dict.fromkeys(map(ord, " -_"))
_MEBI, _GIGA, _TERA = 1 << 20, 10**9, 10**12


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What joins devices of one type inside a host, by their datasheet."""

    kind: str
    """Such as `nvlink3`, `nvlink3-bridge` (joins pairs only) or `pcie4`."""
    bandwidth_bytes_per_s: int
    """Per device, in one direction."""


class _Datasheet(FrozenModel):
    """One device in data/devices.json."""

    name: str
    aliases: tuple[str, ...]
    vendor: Literal["nvidia", "amd", "intel", "apple", "huawei", "google", "any"]
    kind: DeviceKind | None = None
    """If it is not the vendor's."""
    arch: str
    memory_mib: int
    memory_note: str | None
    bandwidth_gb_per_s: Decimal
    fp16_dense_tflops: Decimal
    bf16: bool
    fp8_dense_tflops: Decimal | None
    link: str
    link_bidir_gb_per_s: Decimal
    pcie_gen: int | None
    pcie_gb_per_s: Decimal | None
    tdp_w: int | None
    source: str
    confidence: Literal["high", "medium", "low"]

    def device_type(self) -> DeviceType:
        """Return the noun that plans work with."""
        note = f"; {self.memory_note}" if self.memory_note else ""
        kind = self.kind or _KIND_BY_VENDOR[self.vendor]
        rates = find_rates(self.name)
        return DeviceType(
            name=self.name,
            kind=kind,
            memory_bytes=self.memory_mib * _MEBI,
            memory_bandwidth_bytes_per_s=int(self.bandwidth_gb_per_s * _GIGA),
            compute_flops_per_s=int(self.fp16_dense_tflops * _TERA),
            fp8_flops_per_s=int(self.fp8_dense_tflops * _TERA) if self.fp8_dense_tflops else None,
            int8_ops_per_s=rates.int8_ops_per_s,
            fp4_flops_per_s=rates.fp4_flops_per_s,
            float32_flops_per_s=rates.float32_flops_per_s,
            bfloat16=self.bf16,
            arch=self.arch,
            overhead_bytes=OVERHEAD_BYTES[kind],
            efficiency=find_efficiency(
                Chip(self.arch, self.fp16_dense_tflops, self.bandwidth_gb_per_s)
            ),
            origin=f"datasheet: {self.source}{note}",
        )

    def link_info(self) -> LinkInfo | None:
        """Return the direct link, else the PCIe slot, else nothing."""
        if self.link_bidir_gb_per_s:
            return LinkInfo(self.link, int(self.link_bidir_gb_per_s * _GIGA / 2))
        if self.pcie_gb_per_s is None:
            return None
        return LinkInfo(f"pcie{self.pcie_gen}", int(self.pcie_gb_per_s * _GIGA))


class _DeviceFile(FrozenModel):
    """All of data/devices.json."""

    comment: str
    devices: tuple[_Datasheet, ...]


class _Listing(FrozenModel):
    """One model in data/models.json."""

    aliases: tuple[str, ...]
    source: str
    model: Model


class _ModelFile(FrozenModel):
    """All of data/models.json."""

    comment: str
    models: tuple[_Listing, ...]


class _IdFile(FrozenModel):
    """All of data/model_ids.json."""

    comment: str
    models: dict[str, str]
    """The name of a model in models.json by its id on Hugging Face."""


@cache
def find_device(name: str) -> DeviceType | None:
    """Return the device of this name, alias or driver's name, or None if it is unknown.

    Case, spaces and hyphens do not matter: `RTX 4090` is `RTX-4090`.
    """
    sheet = _sheets().get(_folded(name))
    return sheet.device_type() if sheet else None


def find_link(name: str) -> LinkInfo | None:
    """Return what joins devices of this type inside a host, or None if that is unknown."""
    sheet = _sheets().get(_folded(name))
    return sheet.link_info() if sheet else None


def known_devices() -> tuple[str, ...]:
    """Return the names of all devices, without their aliases."""
    return tuple(sheet.name for sheet in _device_file().devices)


def close_devices(name: str) -> tuple[str, ...]:
    """Return the names of devices whose name or alias looks like `name`, best first."""
    named = {n: sheet.name for sheet in _sheets().values() for n in (sheet.name, *sheet.aliases)}
    return _close(name, {known.casefold(): main for known, main in named.items()})


def find_model(name: str) -> Model | None:
    """Return the model of this name, alias or Hugging Face id, or None if it is unknown.

    Case does not matter.
    """
    folded = name.casefold()
    return _models().get(folded) or _models().get(_model_ids().get(folded, ""))


def known_models() -> tuple[str, ...]:
    """Return the names of all models, without their aliases."""
    return tuple(listing.model.name for listing in _model_file().models)


def close_models(name: str) -> tuple[str, ...]:
    """Return the names of models whose name or alias looks like `name`, best first."""
    return _close(name, {known: model.name for known, model in _models().items()})


def _close(name: str, main_name: Mapping[str, str]) -> tuple[str, ...]:
    """Return the main names that begin with `name`, then those that look like it."""
    longer = (known for known in main_name if known.startswith(name.casefold()))
    close = (*longer, *close_names(name, main_name))
    return tuple(dict.fromkeys(main_name[known] for known in close))[:_MOST_CLOSE]


@cache
def _sheets() -> Mapping[str, _Datasheet]:
    """Return the datasheets by every folded name, those of drivers included."""
    devices = _device_file().devices
    named = {_folded(name): d for d in devices for name in (d.name, *d.aliases)}
    for driver_name, name in CATALOG_NAMES.items():
        for spelled in (driver_name, f"{VENDOR_PREFIX}{driver_name}"):
            named.setdefault(_folded(spelled), named[_folded(name)])
    return named


def _folded(name: str) -> str:
    """Return the name of a device as it is looked up."""
    return name.casefold().translate(_SEPARATORS)


@cache
def _models() -> Mapping[str, Model]:
    """Return the models by every name in folded case."""
    listings = _model_file().models
    return {n.casefold(): x.model for x in listings for n in (x.model.name, *x.aliases)}


@cache
def _model_ids() -> Mapping[str, str]:
    """Return the names of models by their ids on Hugging Face, in folded case."""
    ids = _IdFile.model_validate_json(_data("model_ids.json"))
    return {known.casefold(): name for known, name in ids.models.items()}


@cache
def _device_file() -> _DeviceFile:
    return _DeviceFile.model_validate_json(_data("devices.json"))


@cache
def _model_file() -> _ModelFile:
    return _ModelFile.model_validate_json(_data("models.json"))


def _data(name: str) -> str:
    return resources.files("hexplan.catalog").joinpath("data", name).read_text("utf-8")
