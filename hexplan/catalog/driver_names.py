"""What drivers call the devices of the catalog."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VENDOR = "NVIDIA "

CATALOG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "H100 80GB HBM3": "H100-SXM",
        "H100 PCIe": "H100-PCIe",
        "H100 NVL": "H100-NVL",
        "H200": "H200-SXM",
        "H20": "H20",
        "H800": "H800-SXM",
        "B200": "B200-SXM",
        "GB200": "GB200",
        "GH200 480GB": "GH200-96GB",
        "A100-SXM4-80GB": "A100-80GB-SXM",
        "A100 80GB PCIe": "A100-80GB-PCIe",
        "A100-SXM4-40GB": "A100-40GB-SXM",
        "A100-PCIE-40GB": "A100-40GB-PCIe",
        "A800-SXM4-80GB": "A800-80GB-SXM",
        "A10": "A10",
        "A10G": "A10G",
        "A30": "A30",
        "A40": "A40",
        "RTX A6000": "RTX-A6000",
        "RTX A5000": "RTX-A5000",
        "RTX 6000 Ada Generation": "RTX-6000-Ada",
        "RTX PRO 6000 Blackwell Server Edition": "RTX-PRO-6000-BSE",
        "L4": "L4",
        "L40": "L40",
        "L40S": "L40S",
        "Tesla T4": "T4",
        "Tesla V100-SXM2-16GB": "V100-SXM2-16GB",
        "Tesla V100-SXM2-32GB": "V100-SXM2-32GB",
        "Tesla V100-PCIE-16GB": "V100-PCIe-16GB",
        "Tesla P100-SXM2-16GB": "P100-SXM2",
        "Tesla P100-PCIE-16GB": "P100-PCIe-16GB",
        "GeForce RTX 3080": "RTX-3080-10GB",
        "GeForce RTX 3090": "RTX-3090",
        "GeForce RTX 4080": "RTX-4080",
        "GeForce RTX 4090": "RTX-4090",
        "GeForce RTX 5090": "RTX-5090",
        "AMD Instinct MI210": "MI210",
        "AMD Instinct MI300X": "MI300X",
        "AMD Instinct MI325X": "MI325X",
        "AMD Instinct MI355X": "MI355X",
    }
)
"""The catalog's name by the driver's; without `NVIDIA `, which older drivers leave out."""


def catalog_name(driver_name: str) -> str | None:
    """Return the catalog's name of a device by its driver's name, or None if it is unknown."""
    return CATALOG_NAMES.get(driver_name.removeprefix(_VENDOR))
