"""Write the catalog's efficiencies and interconnects, with the bands of what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from math import ceil
from pathlib import Path

import numpy as np
from efficiencies import reduce_fit
from kernels import PHASES, device
from left_out import LINKS, OTHER, Judged, folds, judged_experts, judged_layers
from roofline import DEVICES, GROUPS, MODELS, errors_of

from hexplan.device import Efficiency
from hexplan.host import Interconnect

CATALOG = Path(__file__).parents[1] / "hexplan/catalog/data"
PEAKS: Mapping[str, float] = {
    "nvlink1": 80,
    "nvlink2": 150,
    "nvlink3": 300,
    "nvlink4": 450,
    "nvlink5": 900,
    "pcie3": 15.75,
    "pcie4": 31.5,
    "pcie5": 63,
    "pcie6": 121,
}
"""GB/s of each link by its datasheet, per device and direction. NVLink: half of the total on
NVIDIA's datasheets of P100 (160), V100 (300 GB/s), A100 (600), H100 (900) and B200 (1800)."""
STANDS_FOR = {"nvlink1": "nvlink3", "nvlink2": "nvlink3", "pcie3": "pcie4", "pcie6": "pcie5"}
"""Links that nobody measured, and those whose figures they take."""
CLOUD_GROUPS = {"pcie3": ("T4x2", "T4x4"), "pcie4": ("L4x2",)}
CLOUD_BYTES_PER_S = 4.5e9
"""What fits the groups of T4 best (benchmarks/roofline.py)."""
CLOUD_SOURCE = "bandwidth: groups of T4 in a cloud, Helix's artifact; the rest "
UNMEASURED = 0.5
TUNNELS: Mapping[str, tuple[float, float, str]] = {
    "thunderbolt3": (2.75, 1.0, "22 Gb/s of tunnelled PCIe by Intel's brief"),
    "thunderbolt4": (3.94, 0.8, "four lanes of PCIe 3 by Intel's brief, of which 0.8 is reached"),
    "thunderbolt5": (7.88, 0.8, "four lanes of PCIe 4 by Intel's brief, of which 0.8 is reached"),
}
"""Links that tunnel PCIe: GB/s, the share that transfers reach, and the source of both."""
KEPT = {
    "V100-SXM2-16GB": ("volta", 0.79, 0.73, 0.24),
    "L4": ("ada", 0.45, 0.89, 0.12),
    "T4": ("turing", 0.45, 0.84, 0.15),
}
"""Chips that only the artifact of Helix measured, as whole layers: architecture, shares of compute
and of bandwidth with work and reading added, and band, all by benchmarks/roofline.py."""

SPARK = "DGX-Spark"
SPARK_RELATIVE = "RTX-PRO-6000-BSE"
"""The chip of the same core generation whose kernels were measured."""
SPARK_SPEEDS = (
    (38.65, 4.98e9),
    (20.5, 8.03e9),
    (2.7, 70.6e9),
    (13.1, 15.1e9),
    (3.7, 64.0e9),
)
"""Published tokens/s of one request on a DGX Spark, and the bytes of weights that a token reads:
Llama 3.1 8B in NVFP4 and in fp8, Llama 3.1 70B in fp8 (NVIDIA and users, as quoted in
AI-Daily-Builder's table of 2026-05-24); Qwen3-8B and Qwen3-32B in bfloat16 (lyb.re, 2026-03-10)."""


def write() -> None:
    """Write both files."""
    rows = [_link(name) for name in PEAKS]
    by_name = {row["name"]: row for row in rows}

    def link_of(name: str) -> Interconnect:
        return _interconnect(by_name[name])

    found = list(judged_layers(link_of))
    for row in rows:
        used = {device for device, link in LINKS.items() if link == row["name"]}
        groups = [one for one in found if one.kind[0] in used and one.kind[3] != "1"]
        kinds = [[one for one in groups if one.kind[1] == d] for d in ("bfloat16", "fp8")]
        bands = [_band(kind) for kind in kinds if kind]
        name = str(row["name"])
        clouds = list(_judged_cloud_groups(name, link_of(name)))
        row["error"] = max([*bands, *([_band(clouds)] if clouds else [])], default=UNMEASURED)
    start_ups = by_name["pcie4"]
    rows += [_tunnel(name, start_ups) for name in TUNNELS]
    (CATALOG / "interconnects.json").write_text(
        _file(
            "What collectives reach over the links inside a host, by benchmarks/prediction.py: a"
            " start-up, and bytes over a share of the datasheet's rate, both growing with the"
            " devices beyond the second. `error` is what nine in ten layers of groups over the"
            " link stay below, of models left out.",
            {"kinds": rows},
        )
    )
    experts = list(judged_experts())
    chips = [_chip(name, found, experts) for name in folds() if name != OTHER]
    chips.append(_spark(next(chip for chip in chips if chip["device"] == SPARK_RELATIVE)))
    chips += [_kept(name) for name in KEPT]
    others = [one for one in judged_layers(link_of, OTHER) if one.kind[3] == "1"]
    other = _no_surer(_with_bands(folds()[OTHER][""], others, list(judged_experts(OTHER))))
    (CATALOG / "efficiency.json").write_text(
        _file(
            "What one layer reaches of its device's peak figures, by benchmarks/prediction.py;"
            " `error` is what nine in ten points of a model left out (for `other`, of a chip left"
            " out) stay below.",
            {"chips": chips},
            {"other": other},
        )
    )


def _judged_cloud_groups(name: str, link: Interconnect) -> Iterator[Judged]:
    """Judge a link by the groups of Helix's artifact, which talk through the memory of a host."""
    for group in CLOUD_GROUPS.get(name, ()):
        kind, n = GROUPS[group]
        _, *pair, _ = KEPT[DEVICES[kind]]
        for model in MODELS:
            found = errors_of(model, group, (pair[0], pair[1]), (kind, n), link)
            for phase, logarithms in zip(PHASES, found, strict=True):
                for error in np.exp(logarithms) - 1:
                    yield Judged((group, "bfloat16", phase, str(n)), float(error), 0.0)


def _link(name: str) -> dict[str, str | float]:
    measured = STANDS_FOR.get(name, name)
    # GB200 was measured with two and four devices only, and with other kernels.
    users = [one for one, link in LINKS.items() if link == measured and one != "GB200"]
    rate, start, further, crowd = reduce_fit(users)
    if name == "pcie3":
        rate, crowd = CLOUD_BYTES_PER_S * PEAKS[measured] / PEAKS[name], 0.0
    source = f"not measured: the shares of {measured}, that is of " if measured != name else ""
    source = CLOUD_SOURCE + source if name == "pcie3" else source
    return {
        "name": name,
        "gb_per_s": PEAKS[name],
        "share": round(rate / 1e9 / PEAKS[measured], 3),
        "latency_us": round(start * 1e6, 2),
        "device_latency_us": round(further * 1e6, 2),
        "contention": round(crowd, 2),
        "error": 0.0,
        "source": f"{source}{', '.join(users)}: aiconfigurator-core 0.12.0",
    }


def _tunnel(name: str, start_ups: Mapping[str, str | float]) -> dict[str, str | float]:
    """Return the row of a link that nobody measured, with the start-ups of another."""
    rate, share, source = TUNNELS[name]
    return {
        "name": name,
        "gb_per_s": rate,
        "share": share,
        "latency_us": start_ups["latency_us"],
        "device_latency_us": start_ups["device_latency_us"],
        "contention": 0.0,
        "error": UNMEASURED,
        "source": f"not measured: {source}, and the start-ups of {start_ups['name']}",
    }


def _interconnect(row: Mapping[str, str | float]) -> Interconnect:
    share = Decimal(str(row["gb_per_s"])) * Decimal(str(row["share"]))
    return Interconnect(
        bandwidth_bytes_per_s=int(share * 10**9),
        latency_s=Decimal(str(row["latency_us"])) / 10**6,
        device_latency_s=Decimal(str(row["device_latency_us"])) / 10**6,
        contention=Decimal(str(row["contention"])),
    )


def _chip(name: str, layers: Iterable[Judged], experts: Iterable[Judged]) -> dict[str, object]:
    alone = [one for one in layers if one.kind[0] == name and one.kind[3] == "1"]
    own = [one for one in experts if one.kind[0] == name]
    return {**_figures(name), "efficiency": _with_bands(folds()[name][""], alone, own)}


def _spark(relative: Mapping[str, object]) -> dict[str, object]:
    """Return a row with the bandwidth that published speeds show, and the rest of a relative."""
    figures = _figures(SPARK)
    peak = float(str(figures["gb_per_s"])) * 1e9
    shares = np.array([rate * size / peak for rate, size in SPARK_SPEEDS])
    share = float(np.exp(np.log(shares).mean()))
    error = float(np.abs(shares / share - 1).max())
    told: dict[str, object] = json.loads(json.dumps(relative["efficiency"]))
    for part in (told, *told.values()):
        if isinstance(part, dict):
            part["bandwidth"] = round(share, 3)
            part["error"] = max(part["error"], ceil(error * 100) / 100)
    return {**figures, "efficiency": told}


def _kept(name: str) -> dict[str, object]:
    arch, compute, bandwidth, error = KEPT[name]
    efficiency = {"compute": compute, "bandwidth": bandwidth, "exposed": 1.0, "error": error}
    return {**_figures(name), "efficiency": efficiency}


def _figures(name: str) -> dict[str, object]:
    kind = device(name)
    return {
        "device": name,
        "arch": kind.arch,
        "tflops": kind.compute_flops_per_s / 1e12,
        "gb_per_s": kind.memory_bandwidth_bytes_per_s / 1e9,
    }


def _with_bands(
    fit: Efficiency, layers: Iterable[Judged], experts: Iterable[Judged]
) -> dict[str, object]:
    told: dict[str, object] = json.loads(fit.model_dump_json(exclude_none=True))
    told.pop("origin")
    layers, experts = list(layers), list(experts)
    kinds = {"": (layers, "bfloat16"), "fp8": (layers, "fp8")}
    kinds |= {"experts": (experts, "bfloat16"), "fp8_experts": (experts, "fp8")}
    for name, (points, dtype) in kinds.items():
        part = told.get(name) if name else told
        if isinstance(part, dict):
            part["error"] = _band([one for one in points if one.kind[1] == dtype])
    return told


def _no_surer(told: dict[str, object]) -> dict[str, object]:
    """Return figures for any other chip, on which no kernel is surer than dense 16-bit ones.

    Fewer and more similar chips run the other kernels, so leaving one out tells less.
    """
    for part in told.values():
        if isinstance(part, dict):
            part["error"] = max(part["error"], told["error"])
    return told


def _band(points: Iterable[Judged]) -> float:
    """Return the error that nine in ten points stay below, in the worse phase."""
    by_phase: dict[str, list[float]] = {}
    for one in points:
        by_phase.setdefault(one.kind[2], []).append(abs(one.error))
    worst = max(float(np.quantile(errors, 0.9)) for errors in by_phase.values())
    return min(0.95, ceil(worst * 100) / 100)


def _file(
    comment: str, lists: Mapping[str, Iterable[object]], rest: Mapping[str, object] = {}
) -> str:
    parts = [f'"comment": {json.dumps(comment)}']
    for name, rows in lists.items():
        lines = ",\n".join(json.dumps(row) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]')
    parts += [f'"{name}": {json.dumps(value)}' for name, value in rest.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"
