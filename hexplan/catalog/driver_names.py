"""What drivers call the devices of the catalog."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VENDOR_PREFIX = "NVIDIA "

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
        "GB10": "DGX-Spark",
        "GB300": "GB300",
        "B300 SXM6 AC": "B300-SXM",
        "GH200 144G HBM3e": "GH200-144GB",
        "L20": "L20",
        "GeForce RTX 2080 Ti": "RTX-2080-Ti",
        "GeForce RTX 3060": "RTX-3060-12GB",
        "GeForce RTX 3090 Ti": "RTX-3090-Ti",
        "GeForce RTX 4060 Ti": "RTX-4060-Ti-16GB",
        "GeForce RTX 3060 Ti": "RTX-3060-Ti",
        "GeForce RTX 3070": "RTX-3070",
        "GeForce RTX 3070 Ti": "RTX-3070-Ti",
        "GeForce RTX 3080 Ti": "RTX-3080-Ti",
        "GeForce RTX 4060": "RTX-4060",
        "GeForce RTX 4070": "RTX-4070",
        "GeForce RTX 4070 SUPER": "RTX-4070-Super",
        "GeForce RTX 4070 Ti": "RTX-4070-Ti",
        "GeForce GTX 1080": "GTX-1080",
        "GeForce GTX 1080 Ti": "GTX-1080-Ti",
        "Tesla P4": "P4",
        "Tesla P40": "P40",
        "RTX 4000 Ada Generation": "RTX-4000-Ada",
        "RTX 5000 Ada Generation": "RTX-5000-Ada",
        "GeForce RTX 4070 Ti SUPER": "RTX-4070-Ti-Super",
        "GeForce RTX 4080 SUPER": "RTX-4080-Super",
        "GeForce RTX 5060 Ti": "RTX-5060-Ti-16GB",
        "GeForce RTX 5070": "RTX-5070",
        "GeForce RTX 5070 Ti": "RTX-5070-Ti",
        "GeForce RTX 5080": "RTX-5080",
        "RTX A4000": "RTX-A4000",
        "RTX PRO 6000 Blackwell Workstation Edition": "RTX-PRO-6000-WS",
        "RTX PRO 5000 Blackwell": "RTX-PRO-5000-48GB",
        "AMD Instinct MI210": "MI210",
        "AMD Instinct MI300A": "MI300A",
        "AMD Instinct MI308X": "MI308X",
        "AMD Instinct MI350X": "MI350X",
        "AMD Radeon AI PRO R9700": "Radeon-AI-PRO-R9700",
        "AMD Radeon PRO W7900": "W7900",
        "AMD Radeon RX 7900 XTX": "RX-7900-XTX",
        "AMD Radeon RX 9070 XT": "RX-9070-XT",
        "AMD Radeon 8060S Graphics": "Strix-Halo-395",
        "Intel(R) Arc(TM) B580 Graphics": "Arc-B580",
        "Intel(R) Arc(TM) Pro B60 Graphics": "Arc-Pro-B60",
        "Ascend910B": "Ascend-910B",
        "AMD Instinct MI300X": "MI300X",
        "AMD Instinct MI325X": "MI325X",
        "AMD Instinct MI355X": "MI355X",
    }
)
"""The catalog's name by the driver's; without `NVIDIA `, which older drivers leave out."""


def catalog_name(driver_name: str) -> str | None:
    """Return the catalog's name of a device by its driver's name, or None if it is unknown."""
    return CATALOG_NAMES.get(driver_name.removeprefix(VENDOR_PREFIX))
